"""The interfaces that the gate uses: a run, and a process that connects to the gate."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from pgdst.errors import PgdstError
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Pause
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.gate.batch import Batch
from pgdst.simulation.gate.exchange import Answer


class Run(Protocol):
    """The parts of the scheduler that the proxy calls. It relays itself while it waits for a client."""

    turn: Client | None
    number: int  # of the step

    @property
    def names(self) -> Collection[str]:
        """The names of the clients."""

    def stop(self, client: Client, pause: Pause) -> None:
        """Note that the client has stopped at this pause."""

    def leaves(self, pause: Pause) -> None:
        """Note that the client with the turn has closed a connection: a step of its own before the client's next."""

    def refuse(self, why: str) -> PgdstError:
        """End the run without a result."""

    def uses(self, client: Client, pid: int) -> None:
        """Note that a server process serves the client now."""

    def note_answer(self, client: Client, batch: Batch, words: str, answer: Answer) -> None:
        """Put the result of a batch into the trace: `words`, and what else the server has answered."""

    def note_wait(self, client: Client, batch: Batch, blocker: int) -> None:
        """Put into the trace for which client the victim of a deadlock has waited."""

    def opened(self, pid: int) -> None:
        """Make a new session stop inside statements too, as all others do."""

    def inject(self, client: Client, fault: Fault, pid: int) -> None:
        """Inject a fault into a server process, or the whole server, and return when it has taken effect."""

    def closed(self, client: Client, pid: int) -> None:
        """Return once the server process of a connection that the client has closed has ended."""

    def full_disk(self) -> str:
        """Return the path, on the server's machine, of a file that can't be written for want of disk space."""

    def no_connection_left(self) -> AbstractContextManager[None]:
        """Use up all free connections of the server, for a block."""


class Origin(Protocol):
    """Another process: a statement of its connections belongs to a client only if a comment says so."""

    def wait_until_quiet(self) -> bool:
        """Wait until the process has done all that it can, and return whether it has, as far as that is known."""


class Elsewhere:
    """A process that the simulation can't observe."""

    def wait_until_quiet(self) -> bool:
        """Return at once."""
        return False
