"""The failures pgdst expects: each message says what failed, what was found and what to do."""


class PgdstError(Exception):
    """Base of every expected failure; scripts print it as one error and exit with status 1."""


class ConfigurationError(PgdstError):
    """A path or a value in `[tool.pgdst]`, an option or an environment variable is wrong."""


class DockerNotRunningError(PgdstError):
    """No Docker daemon answered at the endpoint that was chosen."""


class SilentDaemonError(DockerNotRunningError):
    """The Docker daemon took a request and said nothing for as long as one was willing to wait."""


class ImageError(PgdstError):
    """The image is not here and could not be had."""


class ServerNotReadyError(PgdstError):
    """The server died at start, or did not answer SQL in time."""


class ServerUnreachableError(PgdstError):
    """The server does not answer at its address, or not any more."""


class AlreadyStartingError(ServerNotReadyError):
    """Somebody else is starting this checkout's database at this moment."""


class ForeignServerError(PgdstError):
    """The server did not answer with this run's id, so nothing may be changed in it."""


class SharedStateError(PgdstError):
    """What all databases of a server share, such as a role, was changed by a test and not put back."""


class MigrationError(PgdstError):
    """The migrations could not be applied, or the models differ from the database."""


class EmbeddedError(PgdstError):
    """The embedded engine cannot run on this machine."""


class InconclusiveError(PgdstError):
    """A run under the scheduler ended without a result: a client neither returned nor waited for another."""


class HangError(InconclusiveError):
    """No client of a run can ever go on: each one that has not ended waits for what nobody will release."""


class ScheduleError(PgdstError):
    """A written schedule does not fit the run, or is not one."""
