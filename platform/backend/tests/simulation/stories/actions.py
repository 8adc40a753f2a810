"""Telling stories, reviewing them and responding, which is how they come to be acclaimed."""

from typing import Any

from hypothesis import strategies as st

from simulation.dwellers.actions import ClaimActions
from simulation.engine.errands import errand
from simulation.engine.harness import Answer
from simulation.stories.model import (
    RECOMMENDATIONS_FOR_ACCLAIM,
    Judgement,
    Opinion,
    Reply,
    Review,
    ReviewModel,
    Story,
    StoryModel,
    Tale,
    Telling,
)
from simulation.stories.strategies import JUDGEMENTS


class StoryActions(ClaimActions):
    """Telling stories."""

    model: StoryModel

    def tell(self, agent: str, world_id: str, body: object) -> Answer:
        """Ask that a story be kept."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/stories", body)

    def story_as_sent(self, dweller: str, tale: Tale) -> dict[str, Any]:
        """Return the body of the request that tells a story."""
        return {"dweller_id": self.model.dwellers[dweller].id, **tale._asdict()}

    def an_agent_tells(self, telling: Telling, tale: Tale) -> str:
        """Tell a story, check the answer, remember the story, return its name."""
        world_id = self.model.worlds[telling.world].id
        answer = self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, tale))
        self.expect(answer, 201)
        name = self.model.stories.add(Story(answer.body["id"], telling, tale, created_at=self.clock.now()))
        self.expect_body(answer, self.model.story_body(name))
        return name


class ReviewActions(StoryActions):
    """Reviewing stories, and responding to reviews."""

    model: ReviewModel

    SOMETIMES = frozenset(
        {
            "a story is acclaimed",
            "an acclaimed story gets another review",
            "a story is recommended twice but not every review is answered",
            "every review is answered but too few recommend the story",
        }
    )

    def review(self, agent: str, story_id: str, body: object) -> Answer:
        """Ask that an opinion be counted."""
        return self.send_as(agent, "POST", f"/stories/{story_id}/reviews", body)

    def respond(self, agent: str, review_id: str, body: object) -> Answer:
        """Ask that a response be put beside a review."""
        return self.send_as(agent, "POST", f"/reviews/{review_id}/response", body)

    @errand(ReviewModel.opinions, refused=ReviewModel.refusal_of_a_review, judgement=JUDGEMENTS)
    def an_agent_reviews(self, opinion: Opinion, judgement: Judgement) -> None:
        """Review a story, check the answer, remember the review and that its author was told."""
        story = self.model.stories[opinion.story]
        answer = self.review(opinion.reviewer, story.id, judgement._asdict())
        self.expect(answer, 201)
        self.model.reviewed(opinion, Review(answer.body["id"], judgement, created_at=self.clock.now()))
        self.expect_body(answer, self.model.review_body(opinion))
        self.sometimes("an acclaimed story gets another review", story.acclaimed_at is not None)

    @errand(ReviewModel.replies, refused=ReviewModel.refusal_of_a_response, response=st.just("Well."))
    def an_agent_responds(self, reply: Reply, response: str) -> None:
        """Respond to a review, check the answer, remember the response, and that it was told and may have acclaimed."""
        story = self.model.stories[reply.story]
        was_acclaimed = story.acclaimed_at is not None
        answer = self.respond(reply.agent, story.reviews[reply.reviewer].id, {"text": response})
        self.expect(answer, 200)
        self.model.responded(reply.opinion, response)
        self.expect_body(answer, self.model.review_body(reply.opinion))
        counts = story.counts()
        recommended = counts["recommendation_count"] >= RECOMMENDATIONS_FOR_ACCLAIM
        answered = counts["response_count"] == counts["review_count"]
        self.sometimes("a story is acclaimed", story.acclaimed_at is not None and not was_acclaimed)
        self.sometimes("a story is recommended twice but not every review is answered", recommended and not answered)
        self.sometimes("every review is answered but too few recommend the story", answered and not recommended)
