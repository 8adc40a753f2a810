"""Errands under faults."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject
from pgdst import Fault

from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import fault_run
from simulation.engine.errands import Errand, errands
from simulation.engine.fault_runs import MOST_TRIES, MOST_UNDER_FAULTS
from simulation.engine.linearization import Move

SOME_ERRANDS: Final = st.lists(errands(), min_size=1, max_size=MOST_UNDER_FAULTS)
# A client that gives up after a try or two, or never before the faults are over.
PATIENCE: Final = st.sampled_from([MOST_TRIES, 1, 2])
CALM_AHEAD: Final = precondition(lambda machine: machine.nothing_changes_soon())


class FaultRunRules(DeepSciFiBaseRules):
    """One to three agents, or one from several places, under faults."""

    @CALM_AHEAD
    @fault_run(wanted=SOME_ERRANDS, patience=PATIENCE)
    def run_errands_under_faults(self, data: DataObject, wanted: list[Errand], patience: int) -> None:
        """Each is done once, or not at all if its client has given up."""
        self.under_faults(data, patience, *(self._move(errand) for errand in wanted))

    @CALM_AHEAD
    @fault_run(wanted=errands(), times=st.sampled_from([2, 3]), patience=PATIENCE)
    def want_the_same_under_faults(self, data: DataObject, wanted: Errand, times: int, patience: int) -> None:
        """The same errand several times at once; a fault may hit a client that waits for another's lock."""
        self.under_faults(data, patience, *[self._move(wanted)] * times)

    @CALM_AHEAD
    @fault_run(wanted=SOME_ERRANDS, patience=PATIENCE)
    def lose_answers_under_faults(self, data: DataObject, wanted: list[Errand], patience: int) -> None:
        """A commit whose answer is lost is not done again."""
        moves = [self._move(errand) for errand in wanted]
        self.under_faults(data, patience, *moves, kinds=(Fault.COMMIT_DONE, Fault.COMMIT_UNDONE))

    def _move(self, errand: Errand) -> Move:
        return self.attempt(getattr(self, errand.action), errand.choice, **errand.details)
