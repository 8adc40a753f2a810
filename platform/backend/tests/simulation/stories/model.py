"""The model of stories, their reviews and the responses."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock

from simulation.dwellers.model import ClaimModel, Holding
from simulation.engine.model import Refusal, Rows, as_json

RECOMMENDATIONS_FOR_ACCLAIM: Final = 2


class Telling(NamedTuple):
    """An author, the dweller it tells through, and the world of the story."""

    agent: str
    dweller: str
    world: str


class Tale(NamedTuple):
    """The title and the text of a story."""

    title: str
    text: str


class Judgement(NamedTuple):
    """A reviewer's score, recommendation and text."""

    score: int
    recommends: bool
    text: str


@dataclass
class Review:
    """A review, and the author's response."""

    id: str
    judgement: Judgement
    created_at: datetime
    response: str | None = None
    responded_at: datetime | None = None


@dataclass
class Story:
    """A story and what became of it; reviews by reviewer."""

    id: str
    telling: Telling
    tale: Tale
    created_at: datetime
    acclaimed_at: datetime | None = None
    reviews: dict[str, Review] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return what its reviews add up to."""
        judgements = [review.judgement for review in self.reviews.values()]
        return {
            "review_count": len(judgements),
            "score_sum": sum(judgement.score for judgement in judgements),
            "recommendation_count": sum(judgement.recommends for judgement in judgements),
            "response_count": sum(review.responded_at is not None for review in self.reviews.values()),
        }

    @property
    def author(self) -> str:
        """The author."""
        return self.telling.agent

    def deserves_acclaim(self) -> bool:
        """Return whether enough reviewers recommend it and its author has responded to every review."""
        counts = self.counts()
        enough = counts["recommendation_count"] >= RECOMMENDATIONS_FOR_ACCLAIM
        return enough and counts["response_count"] == counts["review_count"]


class StoryModel(ClaimModel):
    """Stories by name: s1, s2 …, in the order in which they were told."""

    LISTS = frozenset({"/worlds/{worlds}/stories"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.stories: Rows[Story] = self.rows("stories", "created_at", "acclaimed_at", prefix="s")

    # What there is.

    # Who may tell what, and who may not. The dormant ones may, as long as they hold somebody.

    def tellings(self) -> list[Telling]:
        """Return the holders with their dwellers and worlds: who may tell a story."""
        return [Telling(*holding, self.dwellers[holding.dweller].world) for holding in self.holdings()]

    def tellings_through_others(self) -> list[Telling]:
        """Return every agent with each dweller that another one holds."""
        return [
            Telling(agent, dweller, world)
            for agent in self.agents
            for holder, dweller, world in self.tellings()
            if holder != agent
        ]

    def tellings_through_nobodys(self) -> list[Telling]:
        """Return every agent with each dweller that nobody holds, except where its own claim has lapsed unsettled."""
        held = [dweller for _agent, dweller in self.holdings()]
        return [
            Telling(agent, name, dweller.world)
            for agent in self.agents
            for name, dweller in self.dwellers.items()
            if name not in held and (agent, name) not in self._let_lapse()
        ]

    def tellings_after_the_lapse(self) -> list[Telling]:
        """Return the agents and dwellers of claims that have lapsed and are not settled."""
        return [Telling(*holding, self.dwellers[holding.dweller].world) for holding in self._let_lapse()]

    def tellings_of_another_world(self) -> list[Telling]:
        """Return the holders and their dwellers, with every world in which the dweller does not live."""
        return [
            Telling(agent, dweller, other)
            for agent, dweller, world in self.tellings()
            for other in self.worlds
            if other != world
        ]

    def _let_lapse(self) -> list[Holding]:
        lapsed = [self.claims[name] for name in self.lapsed_claims()]
        return [Holding(claim.agent, claim.dweller) for claim in lapsed]

    # What the platform must answer.

    def story_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about a story."""
        story = self.stories[name]
        return {
            "id": story.id,
            "world_id": self.worlds[story.telling.world].id,
            "dweller_id": self.dwellers[story.telling.dweller].id,
            "author_id": self.agents[story.telling.agent].id,
            **story.tale._asdict(),
            **story.counts(),
            "created_at": as_json(story.created_at),
            "acclaimed_at": as_json(story.acclaimed_at),
        }

    def story_bodies(self, world: str) -> list[dict[str, Any]]:
        """Predict what anyone reads about the stories of a world."""
        return [self.story_body(name) for name, story in self.stories.items() if story.telling.world == world]


class Opinion(NamedTuple):
    """A reviewer and a story; a review is known by them."""

    reviewer: str
    story: str


class Reply(NamedTuple):
    """An agent that responds, the reviewer and the story."""

    agent: str
    reviewer: str
    story: str

    @property
    def opinion(self) -> Opinion:
        """The review that is responded to."""
        return Opinion(self.reviewer, self.story)


class ReviewModel(StoryModel):
    """Reviews, which the stories hold, and who may write and answer them."""

    LISTS = frozenset({"/stories/{stories}/reviews"})
    STORED_TIMES = frozenset({("reviews", "created_at"), ("reviews", "responded_at")})

    def names_by_id(self) -> dict[str, str]:
        """A review goes by its reviewer."""
        reviews = {review.id: f"{who}'s review of {story}" for (who, story), review in self.reviews().items()}
        return super().names_by_id() | reviews

    def ids_by_kind(self) -> dict[str, list[str]]:
        """Reviews are a kind."""
        return super().ids_by_kind() | {"reviews": [review.id for review in self.reviews().values()]}

    def times(self) -> dict[tuple[str, str], datetime]:
        """Reviews are written and responded to."""
        reviews = self.reviews().values()
        return {
            **super().times(),
            **{("reviews.created_at", review.id): review.created_at for review in reviews},
            **{("reviews.responded_at", r.id): r.responded_at for r in reviews if r.responded_at is not None},
        }

    # What happened.

    def reviewed(self, opinion: Opinion, review: Review) -> None:
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

    def reviews(self) -> dict[Opinion, Review]:
        """Return the reviews."""
        return {
            Opinion(reviewer, name): review
            for name, story in self.stories.items()
            for reviewer, review in story.reviews.items()
        }

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
