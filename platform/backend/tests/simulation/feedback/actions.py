"""Saying what could be better, and agreeing."""

from hypothesis import strategies as st

from simulation.agents.actions import AgentActions
from simulation.engine.errands import errand
from simulation.engine.harness import Answer
from simulation.feedback.model import Agreement, Feedback, FeedbackModel


class FeedbackActions(AgentActions):
    """Giving feedback and upvoting it."""

    model: FeedbackModel

    SOMETIMES = frozenset({"feedback is upvoted twice"})

    def give_feedback(self, agent: str, body: object, *, idempotency_key: str | None = None) -> Answer:
        """Ask to be heard."""
        return self.send_as(agent, "POST", "/feedback", body, idempotency_key=idempotency_key)

    def upvote(self, agent: str, feedback_id: str) -> Answer:
        """Ask that an agreement be counted."""
        return self.send_as(agent, "POST", f"/feedback/{feedback_id}/upvotes")

    @errand(FeedbackModel.names, text=st.just("It rains."))
    def an_agent_gives_feedback(self, agent: str, text: str, *, idempotency_key: str | None = None) -> str:
        """Give feedback, check the answer, remember the feedback, return its name."""
        answer = self.give_feedback(agent, {"text": text}, idempotency_key=idempotency_key)
        self.expect(answer, 201)
        given = Feedback(answer.body["id"], agent, text, created_at=self.clock.now())
        name = self.model.feedback.add(given)
        self.expect_body(answer, self.model.feedback_body(name))
        return name

    @errand(FeedbackModel.agreements, refused=FeedbackModel.refusal_of_an_upvote)
    def an_agent_upvotes(self, agreement: Agreement) -> None:
        """Upvote feedback, check the answer, remember who agrees."""
        answer = self.upvote(agreement.agent, self.model.feedback[agreement.feedback].id)
        self.expect(answer, 201)
        self.model.upvoted(agreement)
        self.expect_body(answer, self.model.feedback_body(agreement.feedback))
        self.sometimes("feedback is upvoted twice", len(self.model.feedback[agreement.feedback].upvotes) == 2)
