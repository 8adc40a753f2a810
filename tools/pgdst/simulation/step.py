"""A step of a run: what a client did, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pgdst.database.sql_time.sql_tokens import with_parameters
from pgdst.simulation.clients.code import Code

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
    in words; `begins` is the driver's BEGIN before it, and `is_in_transaction` says whether a transaction is open
    behind it. `sqlstate` and `error` are those of an error, `waits_for` are names of clients. `code` is the line of the
    user's code at which the client was, where it is known. Like `rows` and `error` it is not part of the trace, which
    has a hash of the rows.
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
    begins: str = ""
    literals: Callable[[], Sequence[str]] = field(default=list, compare=False, repr=False)  # the parameters, as SQL
    code: Code | None = None
    more: int = 0  # the number of statements that were sent together with it, behind it
    pid: int | None = field(default=None, compare=False)  # of the server process that the client used last

    def __str__(self) -> str:
        """Return the line of the trace."""
        return f"{self.number} {self.client}: {self.in_words}"

    @property
    def in_words(self) -> str:
        """The action of the client and its result."""
        return f"{self.what} -> {self.answer}" if self.answer else self.what

    @property
    def text(self) -> str:
        """The statement in one line, with its parameters in their places, or what else the step did."""
        if not self.statement:
            return self.what
        text = " ".join(with_parameters(self.statement, self.parameters).split())
        return f"{text} and {self.more} more" if self.more else text
