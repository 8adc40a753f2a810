"""Several clients in a Hypothesis state machine."""

from typing import Any

import pytest
from pgdst.simulation.hypothesis.concurrently import Concurrently
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy


class GivingUpError(BaseException):
    """Stands for the error by which Hypothesis abandons an example: a BaseException, like the real one."""


class Source:
    """Gives two draws, then refuses."""

    def __init__(self) -> None:
        self.conjecture_data = self
        self.draws = 0

    def draw_integer(self, _least: int, greatest: int, *, shrink_towards: int) -> int:
        """Return 1 twice, then raise."""
        assert shrink_towards == 0
        self.draws += 1
        if self.draws > 2:
            raise GivingUpError
        return min(1, greatest)


class FourChoices:
    """A simulation without a database, with four choices between two clients."""

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
    """No client is cut off, and the source is not asked again."""
    machine, source = Concurrently(), Source()
    simulation = machine.simulation = FourChoices()  # type: ignore[assignment]  # as much of one as is needed
    with pytest.raises(GivingUpError):
        machine.concurrently(source, ada=lambda: None, bob=lambda: None)  # type: ignore[arg-type]  # the same
    assert simulation.chosen == [1, 0, 0, 0]
    assert source.draws == 3
