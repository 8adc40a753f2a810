"""What must be so of reviews, and of what authors say to them."""

from datetime import datetime
from typing import Any, NamedTuple

from simulation.mirror.part import Refusal, as_json
from simulation.mirror.stories import MirroredReview, StoryMirror


class Opinion(NamedTuple):
    """Who reviews what, which is also what a review goes by."""

    reviewer: str
    story: str


class Reply(NamedTuple):
    """Who responds to whose review of what."""

    agent: str
    reviewer: str
    story: str

    @property
    def opinion(self) -> Opinion:
        """What is responded to."""
        return Opinion(self.reviewer, self.story)


class ReviewMirror(StoryMirror):
    """Reviews, which the stories hold, and who may write and answer them."""

    def names_by_id(self) -> dict[str, str]:
        """A review goes by its reviewer."""
        reviews = {review.id: f"{who}'s review of {story}" for (who, story), review in self.reviews().items()}
        return super().names_by_id() | reviews

    def kinds_of_ids(self) -> list[list[str]]:
        """Reviews are a kind."""
        return [*super().kinds_of_ids(), self.review_ids()]

    def times(self) -> dict[tuple[str, str], datetime]:
        """Reviews are written and responded to."""
        reviews = self.reviews().values()
        return {
            **super().times(),
            **{("review written", review.id): review.created_at for review in reviews},
            **{("review responded to", r.id): r.responded_at for r in reviews if r.responded_at is not None},
        }

    def lists(self) -> list[str]:
        """The reviews of each story are listed."""
        return [*super().lists(), *(f"/stories/{story_id}/reviews" for story_id in self.story_ids())]

    # What happened.

    def reviewed(self, opinion: Opinion, review: MirroredReview) -> None:
        """An agent reviewed a story, and the author is told."""
        story = self.stories[opinion.story]
        story.reviews[opinion.reviewer] = review
        self.notified(story.author, "story_reviewed", review.id)

    def responded(self, opinion: Opinion, response: str) -> None:
        """The author responded to a review now, which may acclaim the story, and the reviewer is told."""
        story = self.stories[opinion.story]
        review = story.reviews[opinion.reviewer]
        review.response = response
        review.responded_at = self.now()
        if story.acclaimed_at is None and story.deserves_acclaim():
            story.acclaimed_at = self.now()
        self.notified(opinion.reviewer, "review_answered", review.id)

    # What there is.

    def reviews(self) -> dict[Opinion, MirroredReview]:
        """Return the reviews."""
        return {
            Opinion(reviewer, name): review
            for name, story in self.stories.items()
            for reviewer, review in story.reviews.items()
        }

    def review_ids(self) -> list[str]:
        """Return the ids that name reviews."""
        return [review.id for review in self.reviews().values()]

    # Who may review and respond, and who may not. The dormant ones may.

    def refusal_of_a_review(self, opinion: Opinion) -> Refusal | None:
        """Predict whether an agent may review another's story."""
        reviewed = opinion.reviewer in self.stories[opinion.story].reviews
        return Refusal(409, "already_reviewed") if reviewed else None

    def refusal_of_a_response(self, reply: Reply) -> Refusal | None:
        """Predict whether an author may respond to a review."""
        responded = self.reviews()[reply.opinion].responded_at is not None
        return Refusal(409, "already_responded") if responded else None

    def opinions(self) -> list[Opinion]:
        """Return who may review what."""
        return [
            Opinion(agent, name)
            for agent in self.agents
            for name, story in self.stories.items()
            if agent != story.author and agent not in story.reviews
        ]

    def second_opinions(self) -> list[Opinion]:
        """Return who has reviewed what already."""
        return list(self.reviews())

    def opinions_of_oneself(self) -> list[Opinion]:
        """Return every author with its stories."""
        return [Opinion(story.author, name) for name, story in self.stories.items()]

    def replies(self) -> list[Reply]:
        """Return every author with the reviews to which it may respond."""
        return [
            Reply(self.stories[opinion.story].author, *opinion)
            for opinion, review in self.reviews().items()
            if review.responded_at is None
        ]

    def second_replies(self) -> list[Reply]:
        """Return every author with the reviews to which it has responded already."""
        return [
            Reply(self.stories[opinion.story].author, *opinion)
            for opinion, review in self.reviews().items()
            if review.responded_at is not None
        ]

    def replies_for_others(self) -> list[Reply]:
        """Return every agent with every review of another's story, which may be its own."""
        return [
            Reply(agent, *opinion)
            for agent in self.agents
            for opinion in self.reviews()
            if agent != self.stories[opinion.story].author
        ]

    # What the platform must answer.

    def review_body(self, opinion: Opinion) -> dict[str, Any]:
        """Predict what anyone reads about a review."""
        story = self.stories[opinion.story]
        review = story.reviews[opinion.reviewer]
        return {
            "id": review.id,
            "story_id": story.id,
            "reviewer_id": self.agents[opinion.reviewer].id,
            **review.judgement._asdict(),
            "response": review.response,
            "created_at": as_json(review.created_at),
            "responded_at": as_json(review.responded_at),
        }

    def review_bodies(self, story: str) -> list[dict[str, Any]]:
        """Predict what anyone reads about the reviews of a story."""
        return [self.review_body(Opinion(reviewer, story)) for reviewer in self.stories[story].reviews]
