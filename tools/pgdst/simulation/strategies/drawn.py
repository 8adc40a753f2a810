"""Choices drawn from a source, such as Hypothesis."""

from collections.abc import Callable

from pgdst.simulation.strategies.strategy import ChoicePoint


class Drawn:
    """Choices drawn from a source such as Hypothesis, which shrinks towards few and small numbers.

    Draws how many choices a client goes on for (0: as long as it can), then which client follows. So each preemption
    takes two numbers, and the smallest run has the fewest preemptions. One number a step would shrink towards late
    preemptions instead. `draw(n)` returns a number from 0 to n.
    """

    LONGEST = 12  # choices; a client that has gone on for so long draws again

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._running: str | None = None
        self._left = 0  # choices until the client is preempted; 0: never
        self._draws_again = False  # draw again when `_left` ends, instead of a preemption

    def choose(self, point: ChoicePoint) -> int:
        """Return 0 while the client goes on, else the index of the next client."""
        if not point.can_stay:
            return self._switch(point, first=0)
        if point.candidates[0] != self._running:  # it began where no other client could go on
            self._begin(point.candidates[0])
        if self._left == 0:
            return 0
        self._left -= 1
        if self._left:
            return 0
        if self._draws_again:
            self._begin(point.candidates[0])
            return 0
        return self._switch(point, first=1)

    def _switch(self, point: ChoicePoint, first: int) -> int:
        last = len(point.candidates) - 1
        index = first + (self._draw(last - first) if last > first else 0)
        self._begin(point.candidates[index])
        return index

    def _begin(self, client: str) -> None:
        self._running = client
        self._left = self._draw(self.LONGEST)
        self._draws_again = self._left == self.LONGEST
