"""Clients at once in a Hypothesis state machine."""

from typing import Any

import pytest
from pgdst.simulation.hypothesis.concurrently import Concurrently
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy


class GivingUpError(BaseException):
    """What Hypothesis raises from a draw when it gives an example up; no Exception, as there."""


class Source:
    """Two draws of one, then of none."""

    def __init__(self) -> None:
        self.conjecture_data = self
        self.draws = 0

    def draw_integer(self, _least: int, greatest: int, *, shrink_towards: int) -> int:
        """Return one twice."""
        assert shrink_towards == 0
        self.draws += 1
        if self.draws > 2:
            raise GivingUpError
        return min(1, greatest)


class FourChoices:
    """A simulation without a database, in which four times two clients can go on."""

    def __init__(self) -> None:
        self.chosen: list[int] = []

    def spawn(self, name: str, function: Any) -> None:
        """Take a client."""

    def run(self, strategy: Strategy, _faults: None) -> Result:
        """Let the strategy choose."""
        points = [ChoicePoint(step, ("ada", "bob"), can_stay=step > 1) for step in range(1, 5)]
        self.chosen = [strategy.choose(point) for point in points]
        return Result({})


def test_clients_come_to_their_ends_before_an_example_is_given_up() -> None:
    """No client is left in the middle of something, and the source is asked no more."""
    machine, source = Concurrently(), Source()
    simulation = machine.simulation = FourChoices()  # type: ignore[assignment]  # as much of one as is needed
    with pytest.raises(GivingUpError):
        machine.concurrently(source, ada=lambda: None, bob=lambda: None)  # type: ignore[arg-type]  # the same
    assert simulation.chosen == [1, 0, 0, 0]
    assert source.draws == 3
