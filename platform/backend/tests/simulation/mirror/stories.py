"""What must be so of stories, from the telling to the acclaim."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock

from simulation.mirror.claims import ClaimMirror, Holding
from simulation.mirror.part import as_json

RECOMMENDATIONS_FOR_ACCLAIM: Final = 2


class Telling(NamedTuple):
    """Who tells a story through whom, and of which world."""

    agent: str
    dweller: str
    world: str


class Tale(NamedTuple):
    """What is told."""

    title: str
    text: str


class Judgement(NamedTuple):
    """What a reviewer thinks of a story."""

    score: int
    recommends: bool
    text: str


@dataclass
class MirroredReview:
    """What an agent thinks of a story, and what the author said to it."""

    id: str
    judgement: Judgement
    created_at: datetime
    response: str | None = None
    responded_at: datetime | None = None


@dataclass
class MirroredStory:
    """A story and what became of it; reviews by reviewer."""

    id: str
    telling: Telling
    tale: Tale
    created_at: datetime
    acclaimed_at: datetime | None = None
    reviews: dict[str, MirroredReview] = field(default_factory=dict)

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
        """Who told it."""
        return self.telling.agent

    def deserves_acclaim(self) -> bool:
        """Return whether enough reviewers recommend it and its author has responded to every review."""
        counts = self.counts()
        enough = counts["recommendation_count"] >= RECOMMENDATIONS_FOR_ACCLAIM
        return enough and counts["response_count"] == counts["review_count"]


class StoryMirror(ClaimMirror):
    """Stories by name: s1, s2 …, in the order in which they were told."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.stories: dict[str, MirroredStory] = {}

    def names_by_id(self) -> dict[str, str]:
        """Stories are s1, s2 …"""
        return super().names_by_id() | {story.id: name for name, story in self.stories.items()}

    def kinds_of_ids(self) -> list[list[str]]:
        """Stories are a kind."""
        return [*super().kinds_of_ids(), self.story_ids()]

    def times(self) -> dict[tuple[str, str], datetime]:
        """Stories are told, and acclaimed."""
        stories = self.stories.values()
        return {
            **super().times(),
            **{("story told", story.id): story.created_at for story in stories},
            **{("story acclaimed", s.id): s.acclaimed_at for s in stories if s.acclaimed_at is not None},
        }

    def lists(self) -> list[str]:
        """The stories of each world are listed."""
        return [*super().lists(), *(f"/worlds/{world.id}/stories" for world in self.worlds.values())]

    # What happened.

    def told(self, story: MirroredStory) -> str:
        """A story is there; return its name."""
        name = f"s{len(self.stories) + 1}"
        self.stories[name] = story
        return name

    # What there is.

    def story_names(self) -> list[str]:
        """Return the stories."""
        return list(self.stories)

    def story_ids(self) -> list[str]:
        """Return the ids that name stories."""
        return [story.id for story in self.stories.values()]

    # Who may tell what, and who may not. The dormant ones may, as long as they hold somebody.

    def tellings(self) -> list[Telling]:
        """Return who may tell of which world through whom."""
        return [Telling(*holding, self.dwellers[holding.dweller].world) for holding in self.holdings()]

    def tellings_through_others(self) -> list[Telling]:
        """Return every agent with everybody whom another one holds."""
        return [
            Telling(agent, dweller, world)
            for agent in self.agents
            for holder, dweller, world in self.tellings()
            if holder != agent
        ]

    def tellings_through_nobodys(self) -> list[Telling]:
        """Return every agent with everybody whom nobody holds, but for those whom it has just let lapse."""
        held = [dweller for _agent, dweller in self.holdings()]
        return [
            Telling(agent, name, dweller.world)
            for agent in self.agents
            for name, dweller in self.dwellers.items()
            if name not in held and (agent, name) not in self._let_lapse()
        ]

    def tellings_after_the_lapse(self) -> list[Telling]:
        """Return who let its claim on whom lapse, where nobody has come by since."""
        return [Telling(*holding, self.dwellers[holding.dweller].world) for holding in self._let_lapse()]

    def tellings_of_another_world(self) -> list[Telling]:
        """Return who holds whom, with every world in which they do not live."""
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
