"""Moves around feedback."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import chosen, ids_that_name_none_of, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.engine.prose import prose
from simulation.feedback.actions import FeedbackActions
from simulation.feedback.model import Agreement, FeedbackModel
from simulation.feedback.strategies import SPOILT_FEEDBACK


class FeedbackRules(FeedbackActions):
    """Giving feedback, reading it, and agreeing once with what others gave."""

    @move(agent=chosen(FeedbackModel.names), text=prose())
    def give_feedback_about_the_platform(self, agent: str, text: str) -> None:
        """Any agent says what it thinks, as often as it likes."""
        self.an_agent_gives_feedback(agent, text)

    @precondition(there_are(FeedbackModel.agreements))
    @move(agreement=chosen(FeedbackModel.agreements))
    def upvote_feedback(self, agreement: Agreement) -> None:
        """An agent agrees with another."""
        self.an_agent_upvotes(agreement)

    @precondition(there_are(FeedbackModel.feedback_names))
    @move(name=chosen(FeedbackModel.feedback_names))
    def read_feedback(self, name: str) -> None:
        """Anyone reads feedback, and how many agree."""
        answer = self.read(f"/feedback/{self.model.feedback[name].id}")
        self.expect(answer, 200)
        self.expect_body(answer, self.model.feedback_body(name))

    @precondition(there_are(FeedbackModel.feedback_names))
    @move(limit=st.sampled_from([1, 2, 100]))
    def list_feedback(self, limit: int) -> None:
        """The list shows the newest feedback."""
        self.expect_page("/feedback", "feedback", self.model.feedback_bodies(), limit)

    @precondition(there_are(FeedbackModel.feedback_names))
    @move(limit=A_FEW, agent=chosen(FeedbackModel.names))
    def read_all_feedback_while_more_is_given(self, limit: int, agent: str) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            "/feedback",
            "feedback",
            self.model.feedback_bodies,
            limit,
            between=lambda: self.an_agent_gives_feedback(agent, "In between."),
        )

    @forbidden_move(agent=chosen(FeedbackModel.names), spoilt=st.sampled_from(sorted(SPOILT_FEEDBACK)))
    def give_malformed_feedback(self, agent: str, spoilt: str) -> None:
        """What says nothing is not kept."""
        self.expect(self.give_feedback(agent, SPOILT_FEEDBACK[spoilt]), 422, "malformed_request")

    @precondition(there_are(FeedbackModel.own_feedback))
    @forbidden_move(agreement=chosen(FeedbackModel.own_feedback))
    def upvote_ones_own_feedback(self, agreement: Agreement) -> None:
        """That one agrees with oneself is no news."""
        self.expect(self._upvote(agreement), 403, "own_feedback")

    @precondition(there_are(FeedbackModel.second_agreements))
    @forbidden_move(agreement=chosen(FeedbackModel.second_agreements))
    def upvote_feedback_a_second_time(self, agreement: Agreement) -> None:
        """An agent counts once."""
        self.expect(self._upvote(agreement), 409, "already_upvoted")

    @forbidden_move(agent=chosen(FeedbackModel.names), feedback_id=ids_that_name_none_of(FeedbackModel.feedback_ids))
    def upvote_unknown_feedback(self, agent: str, feedback_id: str) -> None:
        """The id of something else is not the id of feedback."""
        self.expect(self.upvote(agent, feedback_id), 404, "feedback_not_found")

    @forbidden_move(feedback_id=ids_that_name_none_of(FeedbackModel.feedback_ids))
    def read_unknown_feedback(self, feedback_id: str) -> None:
        """The id of something else is not the id of feedback."""
        self.expect(self.read(f"/feedback/{feedback_id}"), 404, "feedback_not_found")

    def _upvote(self, agreement: Agreement) -> Answer:
        return self.upvote(agreement.agent, self.model.feedback[agreement.feedback].id)
