"""Clients at once in a Hypothesis state machine: rules, their arguments and the schedule shrink together."""

from collections.abc import Callable
from typing import Any

from hypothesis import note
from hypothesis.strategies import DataObject

from pgdst.simulation.interleaving import interleaving
from pgdst.simulation.scheduler import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategy import Drawn


class Concurrently:
    """A part of a machine, whose `simulation` is attached to its engine.

    Its rules ask for `data=st.data()` and call `self.concurrently(data, ada=…, bob=…)`.
    """

    simulation: Simulation

    def concurrently(self, data: DataObject, **clients: Callable[[], Any]) -> Result:
        """Run the clients at once, who goes on for how long being drawn, and return what became of them.

        In the smallest failing example the interleaving is shown. Raises: InconclusiveError.
        """
        for name, function in clients.items():
            self.simulation.spawn(name, function)
        # Not data.draw, which would print each of the draws.
        drawn = Drawn(lambda greatest: data.conjecture_data.draw_integer(0, greatest, shrink_towards=0))
        result = self.simulation.run(drawn)
        note(interleaving(result))
        return result
