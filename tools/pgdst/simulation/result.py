"""The result of a run."""

from dataclasses import dataclass, field
from typing import Any

from pgdst.simulation import isolation_text
from pgdst.simulation.clients.client import Outcome
from pgdst.simulation.step import Step
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.trace import Trace


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

    def as_isolation_spec(self, setup: str = "", teardown: str = "") -> str:
        """Return the run as a specification for PostgreSQL's own isolation tester: sessions, steps, a permutation.

        `setup` and `teardown` are the SQL that makes and removes what the statements use.

        Raises: ConfigurationError, where the run has something that a specification cannot say: a fault, a stop inside
        a statement, several statements that were sent together, or a parameter of an unknown binary type.
        """
        return isolation_text.written(self.steps, setup, teardown)

    def value(self, client: str) -> Any:
        """Return the value that a client returned. Raises: the error that it raised."""
        return self.outcomes[client].get()
