"""The interface of strategies, which choose the client of each step.

A choice is a number: 0 lets the same client go on, the others follow in a fixed order. A schedule of zeros runs one
client after another. A number above zero where the same client could have gone on is a preemption.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class ChoicePoint:
    """A place where the schedule has a choice.

    `candidates` are the clients that can go on. If `can_stay`, the first of them took the last step. `at` has the yield
    point of each candidate in words: its next statement, without parameters. `sleeping` names the candidates whose
    sleep would have to pass first.
    """

    step: int  # from 1
    candidates: tuple[str, ...]
    can_stay: bool
    at: tuple[str, ...] = field(default=(), compare=False)
    sleeping: tuple[str, ...] = field(default=(), compare=False)


class Patience:
    """How long a client may go on before the others come: one that asks again and again may wait for them."""

    CHOICES = 200  # in a row

    def __init__(self) -> None:
        self._client = ""
        self._choices = 0

    def is_over(self, client: str) -> bool:
        """Note that the client goes on; return whether it has done so for too many choices in a row."""
        self._choices = self._choices + 1 if client == self._client else 1
        self._client = client
        return self._choices > self.CHOICES


class Strategy(Protocol):
    """Chooses at each point where there are two candidates or more."""

    def choose(self, point: ChoicePoint) -> int:
        """Return the index of the candidate that takes the next step."""
