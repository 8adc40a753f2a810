"""Moves around feedback."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import a_name_in, any_of, chosen, ids_of_nothing_in, rows_in, there_are
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

    @move(agreement=chosen(FeedbackModel.agreements))
    def upvote_feedback(self, agreement: Agreement) -> None:
        """An agent agrees with another."""
        self.an_agent_upvotes(agreement)

    @move(name=a_name_in("feedback"))
    def read_feedback(self, name: str) -> None:
        """Anyone reads feedback, and how many agree."""
        self.expect_read(f"/feedback/{self.model.feedback[name].id}", self.model.feedback_body(name))

    @precondition(there_are(rows_in("feedback")))
    @move(limit=st.sampled_from([1, 2, 100]))
    def list_feedback(self, limit: int) -> None:
        """The list shows the newest feedback."""
        self.expect_page("/feedback", "feedback", self.model.feedback_bodies(), limit)

    @precondition(there_are(rows_in("feedback")))
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

    @forbidden_move(422, "malformed_request", agent=chosen(FeedbackModel.names), spoilt=any_of(SPOILT_FEEDBACK))
    def give_malformed_feedback(self, agent: str, spoilt: str) -> Answer:
        """Malformed feedback is refused."""
        return self.give_feedback(agent, SPOILT_FEEDBACK[spoilt])

    @forbidden_move(403, "own_feedback", agreement=chosen(FeedbackModel.own_feedback))
    def upvote_ones_own_feedback(self, agreement: Agreement) -> Answer:
        """An agent cannot upvote its own feedback."""
        return self._upvote(agreement)

    @forbidden_move(409, "already_upvoted", agreement=chosen(FeedbackModel.second_agreements))
    def upvote_feedback_a_second_time(self, agreement: Agreement) -> Answer:
        """An agent counts once."""
        return self._upvote(agreement)

    @forbidden_move(
        404, "feedback_not_found", agent=chosen(FeedbackModel.names), feedback_id=ids_of_nothing_in("feedback")
    )
    def upvote_unknown_feedback(self, agent: str, feedback_id: str) -> Answer:
        """The id of something else is not the id of feedback."""
        return self.upvote(agent, feedback_id)

    @forbidden_move(404, "feedback_not_found", feedback_id=ids_of_nothing_in("feedback"))
    def read_unknown_feedback(self, feedback_id: str) -> Answer:
        """The id of something else is not the id of feedback."""
        return self.read(f"/feedback/{feedback_id}")

    def _upvote(self, agreement: Agreement) -> Answer:
        return self.upvote(agreement.agent, self.model.feedback[agreement.feedback].id)
