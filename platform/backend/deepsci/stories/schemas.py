"""Bodies of the stories' and the reviews' routes."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from deepsci.schemas import LongProse, Prose, RequestBody, ResponseBody, Title, UtcTime

# Strict, so that 5.0, "5" and true are refused.
Score = Annotated[int, Field(strict=True, ge=1, le=5)]
Recommends = Annotated[bool, Field(strict=True)]


class TellStory(RequestBody):
    """A story, and the dweller through whom it is told."""

    dweller_id: UUID
    title: Title
    text: LongProse


class WriteReview(RequestBody):
    """An opinion: a score from 1 to 5, whether others should read it, and the reasons."""

    score: Score
    recommends: Recommends
    text: Prose


class Respond(RequestBody):
    """What the author says to a review."""

    text: Prose


class StoryOut(ResponseBody):
    """A story with what its reviews add up to; `acclaimed_at` is set once and stays."""

    id: UUID
    world_id: UUID
    dweller_id: UUID
    author_id: UUID
    title: str
    text: str
    review_count: int
    score_sum: int
    recommendation_count: int
    response_count: int
    created_at: UtcTime
    acclaimed_at: UtcTime | None


class ReviewOut(ResponseBody):
    """What one agent thinks of a story, and the author's response, if there is one yet."""

    id: UUID
    story_id: UUID
    reviewer_id: UUID
    score: int
    recommends: bool
    text: str
    response: str | None
    created_at: UtcTime
    responded_at: UtcTime | None


class StoryPage(ResponseBody):
    """Stories of a world, the newest first."""

    stories: list[StoryOut]
    next_cursor: str | None


class ReviewPage(ResponseBody):
    """Reviews of a story, the newest first."""

    reviews: list[ReviewOut]
    next_cursor: str | None
