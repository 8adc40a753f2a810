"""What the gate needs of a run, and of a process that connects to it."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from pgdst.errors import PgdstError
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Pause
from pgdst.simulation.faults.kinds import Fault


class Run(Protocol):
    """What the proxy needs of a run, which relays by itself where it waits for a client."""

    turn: Client | None
    number: int  # of the step

    @property
    def names(self) -> Collection[str]:
        """The names of the clients."""

    def stop(self, client: Client, pause: Pause) -> None:
        """Note that the client has stopped at this pause."""

    def leaves(self, pause: Pause) -> None:
        """Note that who has the turn has closed a connection: a step of its own before what it comes to next."""

    def refuse(self, why: str) -> PgdstError:
        """End the run, which says nothing."""

    def uses(self, client: Client, pid: int) -> None:
        """Note that a server process works for the client now."""

    def note_answer(self, client: Client, what: str, answer: str) -> None:
        """Put what a statement came to into the trace."""

    def note_wait(self, client: Client, what: str, blocker: int) -> None:
        """Put into the trace for whom the victim of a deadlock has waited."""

    def opened(self, pid: int) -> None:
        """Let a new session stop inside statements, as all others do."""

    def inject(self, client: Client, fault: Fault, pid: int) -> None:
        """Inject a fault into a server process, or the whole server, and return when it has taken effect."""

    def closed(self, client: Client, pid: int) -> None:
        """Return once the server process of a connection that the client has closed has ended."""

    def full_disk(self) -> str:
        """Return the path of a file, as the server knows it, which the server finds no room to write."""

    def no_connection_left(self) -> AbstractContextManager[None]:
        """Take all connections that the server has left, for a block."""


class Origin(Protocol):
    """Another process, whose connections are a client's only where its statements say so."""

    def wait_until_quiet(self) -> bool:
        """Return whether it has done all that it can, as far as that can be told."""


class Elsewhere:
    """One of which nothing is known."""

    def wait_until_quiet(self) -> bool:
        """Return at once."""
        return False
