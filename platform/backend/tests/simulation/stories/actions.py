"""Telling stories, reviewing them and responding, which is how they come to be acclaimed."""

from typing import Any

from simulation.engine.harness import Answer, Harness
from simulation.stories.model import (
    RECOMMENDATIONS_FOR_ACCLAIM,
    Judgement,
    MirroredReview,
    MirroredStory,
    Opinion,
    Reply,
    Tale,
    Telling,
)


class StoryActions(Harness):
    """What an author does that holds a dweller."""

    def tell(self, agent: str, world_id: str, body: object) -> Answer:
        """Ask that a story be kept."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/stories", body)

    def story_as_sent(self, dweller: str, tale: Tale) -> dict[str, Any]:
        """Return the body of the request that tells a story."""
        return {"dweller_id": self.mirror.dwellers[dweller].id, **tale._asdict()}

    def an_agent_tells(self, telling: Telling, tale: Tale) -> str:
        """Tell a story, check the answer, remember the story, return its name."""
        world_id = self.mirror.worlds[telling.world].id
        answer = self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, tale))
        self.expect(answer, 201)
        name = self.mirror.told(MirroredStory(answer.body["id"], telling, tale, created_at=self.clock.now()))
        self.expect_body(answer, self.mirror.story_body(name))
        return name


class ReviewActions(Harness):
    """What a reader does, and what an author does then."""

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

    def an_agent_reviews(self, opinion: Opinion, judgement: Judgement) -> None:
        """Review a story, check the answer, remember the review and that its author was told."""
        story = self.mirror.stories[opinion.story]
        answer = self.review(opinion.reviewer, story.id, judgement._asdict())
        self.expect(answer, 201)
        self.mirror.reviewed(opinion, MirroredReview(answer.body["id"], judgement, created_at=self.clock.now()))
        self.expect_body(answer, self.mirror.review_body(opinion))
        self.sometimes("an acclaimed story gets another review", story.acclaimed_at is not None)

    def an_agent_responds(self, reply: Reply, response: str) -> None:
        """Respond to a review, check the answer, remember the response, and that it was told and may have acclaimed."""
        story = self.mirror.stories[reply.story]
        was_acclaimed = story.acclaimed_at is not None
        answer = self.respond(reply.agent, story.reviews[reply.reviewer].id, {"text": response})
        self.expect(answer, 200)
        self.mirror.responded(reply.opinion, response)
        self.expect_body(answer, self.mirror.review_body(reply.opinion))
        counts = story.counts()
        recommended = counts["recommendation_count"] >= RECOMMENDATIONS_FOR_ACCLAIM
        answered = counts["response_count"] == counts["review_count"]
        self.sometimes("a story is acclaimed", story.acclaimed_at is not None and not was_acclaimed)
        self.sometimes("a story is recommended twice but not every review is answered", recommended and not answered)
        self.sometimes("every review is answered but too few recommend the story", answered and not recommended)
