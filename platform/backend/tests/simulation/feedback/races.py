"""Who agrees at once."""

from functools import partial

from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import clash
from simulation.engine.choosing import some_about_one, there_are
from simulation.feedback.model import Agreement
from simulation.state_mirror import StateMirror


class FeedbackClashes(DeepSciFiBaseRules):
    """Upvoting at once."""

    @precondition(there_are(StateMirror.agreements))
    @clash(agreements=some_about_one(StateMirror.agreements, lambda _mirror, agreement: agreement.feedback))
    def upvote_one_feedback_at_once(self, data: DataObject, agreements: list[Agreement]) -> None:
        """Every agent counts, and counts once."""
        self.at_once(data, *(partial(self._upvotes_unless_refused, agreement) for agreement in agreements))

    def _upvotes_unless_refused(self, agreement: Agreement) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_an_upvote(agreement),
            act=partial(self.an_agent_upvotes, agreement),
            ask=partial(self.upvote, agreement.agent, self.mirror.feedback[agreement.feedback].id),
        )
