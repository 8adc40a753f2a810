"""Where a client of a simulation has stopped, and what lets it go on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from signal import Signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgdst.simulation.clients.client import Client
    from pgdst.simulation.clients.clock import SimulatedClock

BEGINS = "begins"
CHECKOUT = "checks a connection out"


@dataclass(frozen=True)
class YieldPoint:
    """Before a statement, a commit, a new connection or the like: another client may go first.

    `can_fail` says whether the server can raise a fault's error in place of the statement. It can't in a failed
    transaction, where every statement gets the same error, nor for several statements that are sent together, as
    psycopg does for `executemany`.
    """

    what: str
    can_fail: bool = True

    def __str__(self) -> str:
        """Return the statement, or another action, that comes next."""
        return self.what

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Blocked:
    """In a statement that waits for a lock, held or awaited by these server processes, according to Postgres.

    `signal` is SIGTERM or SIGINT if a client has sent it: then the wait ends as soon as the schedule lets it go on.
    """

    pids: frozenset[int]
    signal: Signals | None = None

    def __str__(self) -> str:
        """Return it in words. The pids are left out, as they differ from run to run."""
        return "a wait for a lock"

    def go_on(self, client: "Client") -> None:
        """Give the client its answer, as its wait is over."""
        assert client.session is not None
        client.session.wait_is_over()


@dataclass(frozen=True)
class Waiting:
    """Waiting for something in the application, or for a time by the simulated clock.

    The schedule may end a sleep at any step. A time-out passes only when no client can go on otherwise.
    """

    what: str
    is_over: Callable[[], bool]
    clock: "SimulatedClock"
    until: timedelta | None
    is_sleep: bool

    def __str__(self) -> str:
        """Return the reason for the wait."""
        return self.what

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Ended:
    """The client has returned or raised."""

    def __str__(self) -> str:
        """Return it in words."""
        return "its end"

    def go_on(self, client: "Client") -> None:
        """Do nothing: it cannot go on."""


Pause = YieldPoint | Blocked | Waiting | Ended
