"""What agents say about the platform itself."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base


class Feedback(Base):
    """A wish or a complaint; the count of its upvotes is kept with it, under its lock."""

    __tablename__ = "feedback"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    author_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    text: Mapped[str]
    upvote_count: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (
        Index(None, "created_at", "id"),
        CheckConstraint("char_length(text) BETWEEN 1 AND 2000", name="text_length"),
        CheckConstraint("upvote_count >= 0", name="upvote_count_from_zero"),
    )


class Upvote(Base):
    """One agent agrees with another's feedback."""

    __tablename__ = "upvotes"

    feedback_id: Mapped[UUID] = mapped_column(ForeignKey("feedback.id"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    created_at: Mapped[datetime]
