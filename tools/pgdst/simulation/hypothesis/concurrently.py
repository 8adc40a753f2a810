"""Several clients in a Hypothesis state machine: rules, their arguments and the schedule shrink together."""

from collections.abc import Callable, Collection
from typing import Any

from hypothesis import note
from hypothesis.control import current_build_context
from hypothesis.strategies import DataObject

from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import DrawnFaults
from pgdst.simulation.report.interleaving import interleaving
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.drawn import Drawn


class Concurrently:
    """A mixin for a state machine with an attribute `simulation`, to which its engine is attached.

    Rules take `data=st.data()` and call `self.concurrently(data, ada=…, bob=…)`.
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
        """Run clients under a schedule drawn from `data`, and return their outcomes.

        Faults of the given kinds are drawn as well (see DrawnFaults). The smallest failing example shows the
        interleaving.

        Raises: InconclusiveError.
        """
        # Not data.draw, which would print each draw.
        source = data.conjecture_data
        draw = _AsLongAsPossible(lambda greatest: source.draw_integer(0, greatest, shrink_towards=0))
        drawn = DrawnFaults(draw, faults, longest=longest) if faults else None
        for name, function in clients.items():
            self.simulation.spawn(name, function)
        self.simulation.locates_code = is_seen = current_build_context().is_final
        result = self.simulation.run(Drawn(draw), drawn)
        if draw.refused is not None:
            raise draw.refused
        if is_seen:
            note(interleaving(result))
        return result


class _AsLongAsPossible:
    """Draws until the source refuses to give more; after that it returns 0, so that the same client goes on.

    Hypothesis abandons an example by an exception from a draw, frequently so while it shrinks. The clients still run
    to their ends: cutting them off would break objects that they use, such as the loop of a test client, and errors
    of those would hide the original one.
    """

    refused: BaseException | None = None

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def __call__(self, greatest: int) -> int:
        """Draw a number, or return 0 once the source has refused."""
        if self.refused is None:
            try:
                return self._draw(greatest)
            except BaseException as refused:
                self.refused = refused
        return 0
