"""The failures pgdst expects: each message says what failed, what was found and what to do."""

from typing import Any


class PgdstError(Exception):
    """Base of every expected failure; scripts print it as one error and exit with status 1."""


class ConfigurationError(PgdstError):
    """A path or a value in `[tool.pgdst]`, an option or an environment variable is wrong."""


class DockerNotRunningError(PgdstError):
    """No Docker daemon answered at the endpoint that was chosen."""


class SilentDaemonError(DockerNotRunningError):
    """The Docker daemon accepted a request but did not answer it in time."""


class ImageError(PgdstError):
    """The image is not present, and could neither be pulled nor assembled."""


class ServerNotReadyError(PgdstError):
    """The server died at start, or did not answer SQL in time."""


class ServerUnreachableError(PgdstError):
    """The server does not answer at its address."""


class AlreadyStartingError(ServerNotReadyError):
    """Another process is starting this checkout's database."""


class ForeignServerError(PgdstError):
    """The server did not answer with this run's id, so nothing may be changed in it."""


class SharedStateError(PgdstError):
    """A test has changed an object that all databases of a server share, such as a role, and not restored it."""


class MigrationError(PgdstError):
    """The migrations could not be applied, or the models differ from the database."""


class EmbeddedError(PgdstError):
    """The embedded engine cannot run on this machine."""


class InconclusiveError(PgdstError):
    """A run has no result: it stalled, or something in it could not be scheduled. It neither passed nor failed.

    `result` is the run as far as it came (`pgdst.Result`), or None where it did not begin.
    """

    result: Any = None


class HangError(InconclusiveError):
    """No client of a run can ever go on: each one that has not ended waits for what nobody will release."""


class ScheduleError(PgdstError):
    """A written schedule is malformed, or does not fit the run. `result` is as that of InconclusiveError."""

    result: Any = None
