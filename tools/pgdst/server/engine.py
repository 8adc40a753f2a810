"""The interface of the engines: one call starts a server with a migrated database."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import ClassVar, Protocol

import click

from pgdst.errors import AlreadyStartingError, PgdstError
from pgdst.server.address import Server
from pgdst.server.lifetime.lease import Lease
from pgdst.server.readiness import wait_until_ready
from pgdst.server.spec import ServerSpec
from pgdst.timings import stage

RETRY_SECONDS = 0.25  # between two attempts to start what somebody else is starting
LOG_LINES = 10  # shown where the migrations fail


class Engine(Protocol):
    """A way to run Postgres. Every method touches what the kit made, and nothing else."""

    full_file: ClassVar[str]
    """The path of a file that its servers can open and never write, as there is no room: see full_disk.py."""

    @staticmethod
    def conversation(server: Server, program: str) -> AbstractContextManager[Callable[[bytes], bytes]]:
        """Run a program of sh where the server's processes are, as their user, for the block.

        What is yielded sends the program a line and returns the line that it answers.

        Raises: ServerUnreachableError where the server has gone; OSError, from what is yielded, where it goes later.
        """
        ...

    def start(self, spec: ServerSpec) -> Server:
        """Start a server, and return once it answers SQL and its database is migrated. On failure nothing is left.

        Raises: ServerNotReadyError, MigrationError, and DockerNotRunningError, ImageError or EmbeddedError.
        """
        ...

    def find_dev(self, checkout: str) -> Server | None:
        """Return the running database of `make db-up` of this checkout, if there is one."""
        ...

    def remove_dev(self, checkout: str) -> list[str]:
        """Remove this checkout's `make db-up` and kept databases; return the names of what was removed."""
        ...

    def remove_run(self, lease: Lease, *, log_lines: int) -> list[str]:
        """Remove what the run has, and return the last `log_lines` lines that its server logged.

        Raises: ServerNotReadyError where something of the run is still there afterwards.
        """
        ...

    def keep_run(self, lease: Lease, checkout: str, seconds: int) -> str:
        """Let the server of this checkout's run live on for so many seconds after the run; return its name.

        Raises: ServerNotReadyError where it has ended.
        """
        ...


def migrated(server: Server, spec: ServerSpec) -> Server:
    """Return the server with its database as the spec's recipe makes it; a snapshot's is so already.

    Raises: MigrationError.
    """
    if spec.recipe is None or server.manifest is not None:
        return server
    with stage("migrate"):
        return replace(server, manifest=spec.recipe.migrate(server))


@contextmanager
def log_shown(last_lines: Callable[[int], list[str]]) -> Iterator[None]:
    """Show the last lines of the server's log if the block fails with an expected error."""
    try:
        yield
    except PgdstError:
        lines = "".join(f"\n  {line}" for line in last_lines(LOG_LINES))
        click.echo(f"The last lines of the server's log:{lines}", err=True)
        raise


def up(engine: Engine, spec: ServerSpec) -> tuple[Server, bool]:
    """Return this checkout's long-lived, migrated database, and whether it was started now.

    If another process is starting it at this moment, wait for that.

    Raises: ServerNotReadyError, MigrationError.
    """
    spec = spec.begun()
    while True:
        if (found := engine.find_dev(spec.checkout)) is not None:
            wait_until_ready(
                found, spec, lambda: None if engine.find_dev(spec.checkout) else "It was removed meanwhile."
            )
            return migrated(found, spec), False
        try:
            return engine.start(spec), True
        except AlreadyStartingError:
            if spec.end.has_passed:
                raise
        time.sleep(RETRY_SECONDS)
