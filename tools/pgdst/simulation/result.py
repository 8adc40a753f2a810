"""The result of a run."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pgdst.simulation.clients.client import Outcome
from pgdst.simulation.clients.code import Code
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.trace import Trace

if TYPE_CHECKING:
    from pgdst.simulation.gate.rows import Rows


class StepKind(StrEnum):
    """What happened in a step."""

    BEGINS = "begins"
    STATEMENT = "statement"
    CONNECTS = "connects"
    CANCELS = "cancels"
    CLOSES = "closes"
    WAITS = "waits"  # for a lock
    STOPS_INSIDE = "stops inside"  # a statement, at a trigger
    GOES_ON = "goes on"  # from either
    TIME = "time"  # a sleep or another wait of the application is over
    FAULT = "fault"
    ENDS = "ends"


@dataclass(frozen=True)
class Step:
    """One line of a run: a client's action and its result. A step of the schedule has one line or more.

    `what` and `answer` are the words of the trace, which cuts long statements. `statement` is whole, `parameters` are
    in words; `is_in_transaction` says whether a transaction is open behind it. `sqlstate` and `error` are those of an
    error, `waits_for` are names of clients. `code` is the line of the user's code at which the client was, where it is
    known. Like `rows` and `error` it is not part of the trace, which has a hash of the rows.
    """

    number: int
    client: str
    what: str
    answer: str
    preempts: bool = False  # the client of the last step was another one, and could have gone on
    kind: StepKind = StepKind.STATEMENT
    statement: str = ""
    parameters: tuple[str, ...] = ()
    rows: "Rows | None" = None
    sqlstate: str = ""
    error: str = ""
    waits_for: tuple[str, ...] = ()
    is_in_transaction: bool = False
    code: Code | None = None

    def __str__(self) -> str:
        """Return the line of the trace."""
        return f"{self.number} {self.client}: {self.in_words}"

    @property
    def in_words(self) -> str:
        """The action of the client and its result."""
        return f"{self.what} -> {self.answer}" if self.answer else self.what


@dataclass
class Result:
    """A run that has ended: the outcome of each client, the steps, and the schedule that makes it again.

    `preemptions` counts the steps where the client of the last step could have gone on, but another one did.
    """

    outcomes: dict[str, Outcome]
    steps: list[Step] = field(default_factory=list)
    schedule: Schedule = field(default_factory=lambda: Schedule(()))
    preemptions: int = 0
    trace: Trace = field(default_factory=Trace)

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors that clients raised, by the clients' names."""
        return {name: one.error for name, one in self.outcomes.items() if one.error is not None}

    def value(self, client: str) -> Any:
        """Return the value that a client returned. Raises: the error that it raised."""
        return self.outcomes[client].get()
