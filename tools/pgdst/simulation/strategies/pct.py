"""Probabilistic concurrency testing."""

from random import Random

from pgdst.errors import ScheduleError
from pgdst.simulation.strategies.strategy import ChoicePoint, Patience


class PCT:
    """Probabilistic concurrency testing: a random order of the clients, changed at depth - 1 random steps.

    A bug that needs `depth` steps in a certain order is found by a run with a probability of at least
    1 / (n * steps ** (depth - 1)), for n clients and runs of `steps` steps.
    A client that asks again and again would starve the others. So one that sleeps goes on only where no other can, and
    one whose `Patience` is over falls below all others.
    Source: Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010.
    """

    def __init__(self, seed: int, depth: int, steps: int) -> None:
        if depth < 1 or steps < 1:
            raise ScheduleError(f"PCT needs a depth and a number of steps from 1 on, found {depth} and {steps}.")
        self._random = Random(seed)  # noqa: S311  # seeded random is the point
        self._changes = {self._random.randint(1, steps): -change for change in range(1, depth)}
        self._priorities: dict[str, float] = {}
        self._patience = Patience()

    def choose(self, point: ChoicePoint) -> int:
        """Return the client of the highest priority. At a change, that client first falls below all others."""
        for candidate in sorted(point.candidates):
            self._priorities.setdefault(candidate, self._random.random())
        # The strategy is not asked at steps without a choice. A change at one of them is due now.
        for step in sorted(self._changes):
            if step <= point.step:
                highest = max(point.candidates, key=self._priorities.__getitem__)
                self._priorities[highest] = self._changes.pop(step)
        chosen = max(point.candidates, key=lambda name: (name not in point.sleeping, self._priorities[name]))
        if self._patience.is_over(chosen):
            self._priorities[chosen] = min(self._priorities.values()) - 1
        return point.candidates.index(chosen)
