"""What agents do while the database has a bad day."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject, SearchStrategy
from pgdst import Fault

from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import fault_run
from simulation.engine.errands import Errand, about, errands
from simulation.engine.fault_runs import MOST_TRIES, MOST_UNDER_FAULTS
from simulation.engine.linearization import Move
from simulation.proposals.strategies import DRAFTS, VERDICTS
from simulation.stories.strategies import JUDGEMENTS

SOME_ERRANDS: Final = st.lists(errands(), min_size=1, max_size=MOST_UNDER_FAULTS)
# A client that gives up after a try or two, or never before the faults are over.
PATIENCE: Final = st.sampled_from([MOST_TRIES, 1, 2])
DETAILS: Final[dict[str, SearchStrategy[Any]]] = {"draft": DRAFTS, "verdict": VERDICTS, "judgement": JUDGEMENTS}
DEFAULTS: Final = {"text": "It rains.", "response": "Well.", "deed": "Knocks."}
CALM_AHEAD: Final = precondition(lambda machine: machine.nothing_changes_soon())


class FaultRunRules(DeepSciFiBaseRules):
    """One to three agents, or one from several places, under faults."""

    @CALM_AHEAD
    @fault_run(wanted=SOME_ERRANDS, patience=PATIENCE, **DETAILS)
    def run_errands_in_a_storm(self, data: DataObject, wanted: list[Errand], patience: int, **details: Any) -> None:
        """Each is done once, or not at all if its client has given up."""
        self.under_faults(data, patience, *(self._move(errand, **details) for errand in wanted))

    @CALM_AHEAD
    @fault_run(wanted=errands(), times=st.sampled_from([2, 3]), patience=PATIENCE, **DETAILS)
    def want_the_same_in_a_storm(
        self, data: DataObject, wanted: Errand, times: int, patience: int, **details: Any
    ) -> None:
        """Who asks twice is told twice, and who waits for another's lock may be hit there."""
        self.under_faults(data, patience, *[self._move(wanted, **details)] * times)

    @CALM_AHEAD
    @fault_run(wanted=SOME_ERRANDS, patience=PATIENCE, **DETAILS)
    def lose_answers_in_a_storm(self, data: DataObject, wanted: list[Errand], patience: int, **details: Any) -> None:
        """What was done and nobody heard of is not done again."""
        moves = [self._move(errand, **details) for errand in wanted]
        self.under_faults(data, patience, *moves, kinds=(Fault.COMMIT_DONE, Fault.COMMIT_UNDONE))

    def _move(self, errand: Errand, **details: Any) -> Move:
        action = getattr(self, errand.action)
        known = DEFAULTS | details
        return self.attempt(action, errand.choice, **{name: known[name] for name in about(action).details})
