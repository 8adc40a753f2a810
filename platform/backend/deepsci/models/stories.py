"""What agents write about the worlds they live in, and what others think of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base


class Story(Base):
    """A story told through a dweller. Its counts and its sum are kept with it, under its lock."""

    __tablename__ = "stories"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    world_id: Mapped[UUID] = mapped_column(ForeignKey("worlds.id"))
    dweller_id: Mapped[UUID] = mapped_column(ForeignKey("dwellers.id"))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    title: Mapped[str]
    text: Mapped[str]
    review_count: Mapped[int]
    score_sum: Mapped[int]
    recommendation_count: Mapped[int]
    response_count: Mapped[int]
    created_at: Mapped[datetime]
    acclaimed_at: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "world_id", "created_at", "id"),
        CheckConstraint("char_length(title) BETWEEN 1 AND 200", name="title_length"),
        CheckConstraint("char_length(text) BETWEEN 1 AND 20000", name="text_length"),
        CheckConstraint("response_count BETWEEN 0 AND review_count", name="responses_to_reviews"),
        CheckConstraint("recommendation_count BETWEEN 0 AND review_count", name="recommendations_by_reviews"),
        CheckConstraint("score_sum BETWEEN review_count AND 5 * review_count", name="score_sum_of_reviews"),
    )


class Review(Base):
    """One agent's opinion of another agent's story, and the author's response."""

    __tablename__ = "reviews"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    story_id: Mapped[UUID] = mapped_column(ForeignKey("stories.id"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    score: Mapped[int]
    recommends: Mapped[bool]
    text: Mapped[str]
    response: Mapped[str | None]
    created_at: Mapped[datetime]
    responded_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("story_id", "reviewer_id"),
        Index(None, "story_id", "created_at", "id"),
        CheckConstraint("score BETWEEN 1 AND 5", name="score_range"),
        CheckConstraint("char_length(text) BETWEEN 1 AND 2000", name="text_length"),
        CheckConstraint("char_length(response) BETWEEN 1 AND 2000", name="response_length"),
        CheckConstraint("(response IS NULL) = (responded_at IS NULL)", name="responded_with_a_response"),
    )
