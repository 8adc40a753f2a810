"""Upvotes at once."""

from hypothesis.strategies import DataObject

from simulation.engine.checks import race
from simulation.engine.choosing import some_about_one
from simulation.feedback.actions import FeedbackActions
from simulation.feedback.model import Agreement, FeedbackModel


class FeedbackRaces(FeedbackActions):
    """Upvoting at once."""

    @race(agreements=some_about_one(FeedbackModel.agreements, lambda _model, agreement: agreement.feedback))
    def upvote_one_feedback_at_once(self, data: DataObject, agreements: list[Agreement]) -> None:
        """Every agent counts, and counts once."""
        self.at_once(data, *(self.attempt(self.an_agent_upvotes, agreement) for agreement in agreements))
