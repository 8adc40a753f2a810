"""Who acts at once."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.base import DeepSciFiBaseRules
from simulation.checks import clash
from simulation.mirror.claims import Holding
from simulation.mirror.deeds import Attempt
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, there_are
from simulation.strategies.clashes import some_about_one


class DeedClashes(DeepSciFiBaseRules):
    """Acting at once through one dweller."""

    @precondition(there_are(StateMirror.ready))
    @clash(
        attempts=chosen(StateMirror.ready).flatmap(lambda attempt: st.lists(st.just(attempt), min_size=2, max_size=3)),
    )
    def spend_one_token_at_once(self, data: DataObject, attempts: list[Attempt]) -> None:
        """One token is good for one action, however often it is shown."""
        self.at_once(data, *(partial(self._acts_unless_refused, attempt) for attempt in attempts))

    @precondition(there_are(StateMirror.ready))
    @clash(attempts=some_about_one(StateMirror.ready, lambda _mirror, attempt: attempt.dweller, fewest=1, most=2))
    def act_while_the_dweller_is_released(self, data: DataObject, attempts: list[Attempt]) -> None:
        """What comes after the release is not done any more."""
        holding = Holding(attempts[0].agent, attempts[0].dweller)
        actions = [partial(self._acts_unless_refused, attempt) for attempt in attempts]
        self.at_once(data, *actions, partial(self.an_agent_releases, holding))

    def _acts_unless_refused(self, attempt: Attempt) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_an_action(attempt),
            act=partial(self.an_agent_acts, attempt, "Knocks."),
            ask=partial(self.try_to_act, attempt),
        )
