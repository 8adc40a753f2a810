"""Where a client of a simulation has stopped, and what lets it go on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgdst.simulation.clients.client import Client
    from pgdst.simulation.clients.clock import SimulatedClock

BEGINS = "begins"
CHECKOUT = "checks a connection out"


@dataclass(frozen=True)
class YieldPoint:
    """Before something that others may come before: a statement, a commit, a new connection.

    `can_fail` says whether the server can raise an error in its place. It can't in a transaction that has failed, where
    it says so of everything, nor where several statements are sent together, as psycopg does for `executemany`.
    """

    what: str
    can_fail: bool = True

    def __str__(self) -> str:
        """Return what it is before."""
        return self.what

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Blocked:
    """In a statement that waits for a lock, as Postgres has proved: behind these server processes."""

    pids: frozenset[int]

    def __str__(self) -> str:
        """Return it in words: which server processes they are differs from run to run."""
        return "a wait for a lock"

    def go_on(self, client: "Client") -> None:
        """Let the client have its answer, its wait being over."""
        assert client.session is not None
        client.session.wait_is_over()


@dataclass(frozen=True)
class Waiting:
    """For something in the application: until it is so, or until so much has elapsed by the simulated clock.

    A sleep is one for which time may pass at any moment; a time-out passes only where nobody can go on.
    """

    what: str
    is_over: Callable[[], bool]
    clock: "SimulatedClock"
    until: timedelta | None
    is_sleep: bool

    def __str__(self) -> str:
        """Return for what."""
        return self.what

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Ended:
    """Returned or raised."""

    def __str__(self) -> str:
        """Return it in words."""
        return "its end"

    def go_on(self, client: "Client") -> None:
        """Do nothing: it cannot go on."""


Pause = YieldPoint | Blocked | Waiting | Ended
