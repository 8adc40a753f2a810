"""Clients at once in a Hypothesis state machine: rules, their arguments and the schedule shrink together."""

from collections.abc import Callable, Collection
from typing import Any

from hypothesis import note
from hypothesis.strategies import DataObject

from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import DrawnFaults
from pgdst.simulation.report.interleaving import interleaving
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.drawn import Drawn


class Concurrently:
    """A part of a machine, whose `simulation` is attached to its engine.

    Its rules ask for `data=st.data()` and call `self.concurrently(data, ada=…, bob=…)`.
    """

    simulation: Simulation

    def concurrently(
        self,
        data: DataObject,
        *,
        faults: Collection[Fault] = (),
        longest: int | None = None,
        **clients: Callable[[], Any],
    ) -> Result:
        """Run the clients at once, who goes on for how long being drawn, and return what became of them.

        So is which faults of the given kinds strike whom, and when (see DrawnFaults). In the smallest failing
        example the interleaving is shown.

        Raises: InconclusiveError.
        """
        # Not data.draw, which would print each of the draws.
        source = data.conjecture_data
        draw = _AsLongAsPossible(lambda greatest: source.draw_integer(0, greatest, shrink_towards=0))
        struck = DrawnFaults(draw, faults, longest=longest) if faults else None
        for name, function in clients.items():
            self.simulation.spawn(name, function)
        result = self.simulation.run(Drawn(draw), struck)
        if draw.refused is not None:
            raise draw.refused
        note(interleaving(result))
        return result


class _AsLongAsPossible:
    """Draws until the source refuses to give more; then the same client goes on.

    Hypothesis gives up an example by an exception from a draw, many a time while it makes a failure smaller. The
    clients still come to their ends, or whatever they go through, such as the loop of a test client, would be left
    broken, and what is said of that would hide why.
    """

    refused: BaseException | None = None

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def __call__(self, greatest: int) -> int:
        """Draw, or return 0 where nothing can be drawn any more."""
        if self.refused is None:
            try:
                return self._draw(greatest)
            except BaseException as refused:
                self.refused = refused
        return 0
