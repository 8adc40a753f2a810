"""What came of a run."""

from dataclasses import dataclass, field
from typing import Any

from pgdst.simulation.clients.client import Outcome
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.trace import Trace


@dataclass(frozen=True)
class Step:
    """One line of a run: who did what, and what came of it. A step of the schedule has one line or more."""

    number: int
    client: str
    what: str
    answer: str
    preempts: bool = False  # another client could have gone on, and had taken the last step

    def __str__(self) -> str:
        """Return the line of the trace."""
        return f"{self.number} {self.client}: {self.in_words}"

    @property
    def in_words(self) -> str:
        """What the client did, and what came of it."""
        return f"{self.what} -> {self.answer}" if self.answer else self.what


@dataclass
class Result:
    """A run that came to its end: what became of each client, and how it went.

    `preemptions` counts the steps before which another client could have gone on, and had taken the last one.
    """

    outcomes: dict[str, Outcome]
    steps: list[Step] = field(default_factory=list)
    schedule: Schedule = field(default_factory=lambda: Schedule(()))
    preemptions: int = 0
    trace: Trace = field(default_factory=Trace)

    @property
    def errors(self) -> dict[str, BaseException]:
        """What clients raised, by their names."""
        return {name: one.error for name, one in self.outcomes.items() if one.error is not None}

    def value(self, client: str) -> Any:
        """Return what a client returned. Raises: what it raised."""
        return self.outcomes[client].get()
