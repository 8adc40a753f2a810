"""What the two engines have in common: how a server is asked for, and how one waits until it answers."""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from pgdst.errors import AlreadyStartingError, ConfigurationError, ServerNotReadyError, ServerUnreachableError
from pgdst.server import settings
from pgdst.server.address import Server, require_ours
from pgdst.server.deadline import Deadline
from pgdst.server.lifetime.lease import Lease
from pgdst.server.snapshot import Recipe, set_password

if TYPE_CHECKING:
    import psycopg

POLL_SECONDS = 0.003
CONNECT_SECONDS = 2
RETRY_SECONDS = 0.25  # between two attempts to start what somebody else is starting
MINIMUM_DISK_MIB = 8


@dataclass(frozen=True)
class TimeToLive:
    """The lifetime of a server that no run holds: it removes itself after so many seconds."""

    seconds: int


@dataclass(frozen=True)
class Order:
    """A server to be started: whose it is, how long it lives, its settings, its room and how long to wait for it."""

    checkout: str
    lifetime: Lease | TimeToLive
    settings: Mapping[str, str]
    disk_mib: int = 1024
    wait_seconds: float = 60
    deadline: Deadline | None = field(default=None, compare=False)  # once the start has begun
    recipe: Recipe | None = None  # of the snapshot to start from, which is made where there is none
    makes_snapshot: bool = False

    def begun(self) -> "Order":
        """Return the order with its deadline: so many seconds from now on, where it had none."""
        return self if self.deadline else replace(self, deadline=Deadline(self.wait_seconds))

    @property
    def kind(self) -> str:
        """`snapshot` for a server that one is made of, `run` where a lease holds it, `dev` for a time to live."""
        return "snapshot" if self.makes_snapshot else "run" if isinstance(self.lifetime, Lease) else "dev"

    @property
    def server_settings(self) -> dict[str, str]:
        """The settings, and where a snapshot is made, that segments of the log are removed: they would be packed."""
        return {**self.settings, **({"wal_recycle": "off"} if self.makes_snapshot else {})}

    @property
    def run_id(self) -> str:
        """The run's id; a database of `make db-up` gets one of its own."""
        return self.lifetime.run_id if isinstance(self.lifetime, Lease) else f"dev-{self.checkout}"


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

    def start(self, order: Order) -> Server:
        """Start a server and return once it answers SQL. On failure nothing is left.

        With a recipe its database is migrated and has its template: it comes from a snapshot.

        Raises: ServerNotReadyError and what the engine itself needs (DockerNotRunningError, ImageError, EmbeddedError).
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

    def shell(self, server: Server, arguments: list[str]) -> int:
        """Run psql at the server, with this process's terminal; return its exit status."""
        ...


def new_password() -> str:
    """Return a random password that needs no quoting in a URL."""
    return secrets.token_urlsafe(24)


def check(order: Order) -> None:
    """Raise ConfigurationError where the order cannot be met."""
    if order.disk_mib < MINIMUM_DISK_MIB:
        raise ConfigurationError(f"DISK_MIB is {order.disk_mib}, but Postgres needs at least {MINIMUM_DISK_MIB} MiB.")
    if isinstance(order.lifetime, TimeToLive) and order.lifetime.seconds < 1:
        raise ConfigurationError("TTL_HOURS must be at least a second.")


def wait_until_ready(server: Server, order: Order, died: Callable[[], str | None]) -> None:
    """Return once the server answers SQL at its published address and runs with our id and settings.

    One that was started from a snapshot gets its own password. `died` returns why the server is no more, or None while
    it lives; it is asked every few milliseconds.

    Raises: ServerNotReadyError, with what `died` said, or with the last refusal when the deadline has passed.
    Source: docker-library/postgres issue 146: neither log lines nor pg_isready in the container tell, as the image
    first starts a temporary server without TCP.
    """
    deadline = order.deadline or Deadline(order.wait_seconds)
    while True:
        if (cause := died()) is not None:
            raise ServerNotReadyError(cause)
        try:
            with _first_connection(server) as connection:
                require_ours(connection, server.run_id)
                settings.verify(connection, order.settings)
                if server.initial_password is not None:
                    set_password(connection, server.user, server.password)
                return
        except ServerUnreachableError as error:
            refusal = str(error.__cause__).strip()
        if deadline.has_passed:
            raise ServerNotReadyError(
                f"The server did not answer at {server.host}:{server.port} within {order.wait_seconds:g} s: {refusal}\n"
                "What to do: wait longer (--wait-seconds), or, where the port of the daemon is reached under another "
                "name (a remote daemon, a container with the daemon's socket), set PUBLISHED_HOST "
                "(to 127.0.0.1: a port is published, and this machine's network not shared)."
            )
        time.sleep(POLL_SECONDS)


def _first_connection(server: Server) -> "psycopg.Connection":
    """Log in with the snapshot's password, or with its own where it has been given that already.

    Raises: ServerUnreachableError.
    """
    if server.initial_password is None:
        return server.connect(timeout_seconds=CONNECT_SECONDS)
    import psycopg

    try:
        return replace(server, password=server.initial_password).connect(timeout_seconds=CONNECT_SECONDS)
    except ServerUnreachableError as error:
        if isinstance(error.__cause__, psycopg.OperationalError) and "password" in str(error.__cause__):
            return server.connect(timeout_seconds=CONNECT_SECONDS)
        raise


def up(engine: Engine, order: Order) -> tuple[Server, bool]:
    """Return this checkout's long-lived database and whether it was started now.

    One that is being started by somebody else at this moment is waited for.

    Raises: ServerNotReadyError.
    """
    deadline = order.deadline or Deadline(order.wait_seconds)
    order = replace(order, deadline=deadline)
    while True:
        if (found := engine.find_dev(order.checkout)) is not None:
            wait_until_ready(
                found, order, lambda: None if engine.find_dev(order.checkout) else "It was removed meanwhile."
            )
            return found, False
        try:
            return engine.start(order), True
        except AlreadyStartingError:
            if deadline.has_passed:
                raise
        time.sleep(RETRY_SECONDS)
