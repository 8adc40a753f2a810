"""All schedules up to a number of preemptions, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgdst.errors import ScheduleError
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy


class Exhaustive:
    """All schedules with at most so many preemptions: an iterable of strategies, one a schedule.

    Run the same scenario anew with each. Afterwards `is_exhausted` says whether all schedules were tried. A scenario
    that is not the same each time raises ScheduleError.
    """

    def __init__(self, preemptions: int) -> None:
        if preemptions < 0:
            raise ScheduleError(f"The bound on preemptions must be 0 or more, found {preemptions}.")
        self._bound = preemptions
        self.is_exhausted = False

    def __iter__(self) -> Iterator[Strategy]:
        """Yield strategies until every schedule within the bound has been run."""
        path: list[_Fork] = []
        while True:
            walk = _Walk(path, self._bound)
            yield walk
            walk.require_end()
            while path and path[-1].chosen + 1 >= path[-1].choices(self._bound):
                path.pop()
            if not path:
                self.is_exhausted = True
                return
            path[-1].chosen += 1


@dataclass
class _Fork:
    point: ChoicePoint
    preemptions: int  # before this choice
    chosen: int = 0

    def choices(self, bound: int) -> int:
        return 1 if self.point.can_stay and self.preemptions >= bound else len(self.point.candidates)


class _Walk:
    def __init__(self, path: list[_Fork], bound: int) -> None:
        self._path, self._bound = path, bound
        self._at = 0
        self._preemptions = 0

    def choose(self, point: ChoicePoint) -> int:
        if self._at == len(self._path):
            self._path.append(_Fork(point, self._preemptions))
        fork = self._path[self._at]
        if fork.point != point:
            raise ScheduleError(
                f"The scenario is not the same each time: {point} after the choices that led to {fork.point}."
            )
        self._at += 1
        self._preemptions += point.can_stay and fork.chosen > 0
        return fork.chosen

    def require_end(self) -> None:
        if self._at < len(self._path):
            raise ScheduleError(
                f"The scenario is not the same each time: it ended before {self._path[self._at].point}."
            )
