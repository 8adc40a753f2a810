"""Plans of faults: drawn from a source, or from a seed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from pgdst.simulation.faults.kinds import ALL, Fault


class Faults(Protocol):
    """A plan of faults, asked at each step."""

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that hits this step, one of the possible ones, or None."""


@dataclass(frozen=True)
class _Mood:
    """The bounds of a run: the most faults, and the most steps between two."""

    most: int
    longest: int


class DrawnFaults:
    """Faults drawn from a source such as Hypothesis, which shrinks towards fewer.

    Each run draws its mood (no fault, one, a few, many), then the kinds that are on. Then it repeatedly draws a number
    of steps without a fault, and the fault that follows. Only steps at which one of the kinds is possible count;
    `longest` limits the number for runs that have few of them. `draw(n)` returns a number from 0 to n; 0 always means
    fewer faults.
    """

    MOODS: Final = (_Mood(0, 0), _Mood(1, 24), _Mood(3, 12), _Mood(20, 6))

    def __init__(self, draw: Callable[[int], int], kinds: Iterable[Fault] = ALL, *, longest: int | None = None) -> None:
        self._draw = draw
        self._longest = longest
        self._kinds = tuple(kinds)
        self._mood = self.MOODS[draw(len(self.MOODS) - 1)] if self._kinds else self.MOODS[0]
        self._left = self._mood.most
        self._wait = 0
        if self._left:
            chosen = draw(2 ** len(self._kinds) - 1)
            on = tuple(kind for number, kind in enumerate(self._kinds) if chosen >> number & 1)
            self._kinds = on or self._kinds
            self._wait = self._until_the_next()

    def inject(self, _step: int, possible: Sequence[Fault]) -> Fault | None:
        """Draw a fault if one is due and one of the kinds that are on is possible here."""
        able = [kind for kind in self._kinds if kind in possible]
        if not self._left or not able:
            return None
        if self._wait:
            self._wait -= 1
            return None
        self._left -= 1
        self._wait = self._until_the_next() if self._left else 0
        return able[self._draw(len(able) - 1)]

    def _until_the_next(self) -> int:
        return self._draw(self._mood.longest if self._longest is None else min(self._longest, self._mood.longest))


def random_faults(seed: int, kinds: Iterable[Fault] = ALL) -> DrawnFaults:
    """Return a plan of faults that the seed determines."""
    source = Random(seed)  # noqa: S311  # seeded random is the point
    return DrawnFaults(lambda greatest: source.randint(0, greatest), kinds)
