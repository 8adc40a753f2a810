"""Which fault strikes whom, and when: drawn, or of a seed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from pgdst.simulation.faults.kinds import ALL, Fault


class Faults(Protocol):
    """Decides what strikes whom."""

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that strikes whoever takes this step, one of the possible, or None."""


@dataclass(frozen=True)
class _Mood:
    """How much of a storm a run is: how many faults at most, and how many steps at most until the next."""

    most: int
    longest: int


class DrawnFaults:
    """Faults drawn from a source such as Hypothesis, which shrinks towards fewer.

    Each run draws its mood (calm, one fault, a storm), then which kinds are on, then for how many steps nothing
    happens, and which fault comes after them; counted are steps at which one of the kinds could strike, and where those
    are few, `longest` says how many it may be at most. `draw(n)` returns a number from 0 to n; 0 always means less.
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
        """Draw, where a fault is due and one of those that are on can strike here."""
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
    """Return faults that the seed determines."""
    source = Random(seed)  # noqa: S311  # seeded random is the point
    return DrawnFaults(lambda greatest: source.randint(0, greatest), kinds)
