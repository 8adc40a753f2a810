"""Choices drawn from a source, such as Hypothesis."""

from collections.abc import Callable

from pgdst.simulation.strategies.strategy import ChoicePoint


class Drawn:
    """Choices drawn from a source such as Hypothesis, which shrinks towards few numbers and small ones.

    What is drawn is for how many choices a client goes on, 0 standing for as long as it can, and who comes after it:
    each preemption takes two numbers, so that the smallest run has the fewest. A number for each step would have it
    prefer the latest. `draw(n)` returns a number from 0 to n.
    """

    LONGEST = 12  # choices; who goes on for so long draws again then

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._running: str | None = None
        self._left = 0  # choices until it is preempted; 0 for never
        self._draws_again = False  # instead of being preempted

    def choose(self, point: ChoicePoint) -> int:
        """Return 0 while the client goes on, else who comes next."""
        if not point.can_stay:
            return self._switch(point, first=0)
        if point.candidates[0] != self._running:  # nobody else could go on when it began
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
