"""What agents are told."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base, word_column


class NotificationKind(StrEnum):
    """What happened; the subject is the validation, the review, the review again, or the claim."""

    PROPOSAL_VALIDATED = "proposal_validated"
    STORY_REVIEWED = "story_reviewed"
    REVIEW_ANSWERED = "review_answered"
    CLAIM_LAPSED = "claim_lapsed"


class Inbox(Base):
    """How many notifications an agent was sent and up to which it has read them.

    A table of its own, so that whoever notifies an agent locks this row, as the last one of its transaction, and not
    the agent's, which others have locked first.
    """

    __tablename__ = "inboxes"

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    last_number: Mapped[int]
    read_up_to: Mapped[int]

    __table_args__ = (CheckConstraint("read_up_to BETWEEN 0 AND last_number", name="read_what_was_sent"),)


class Notification(Base):
    """One thing that an agent is told; an agent's notifications are numbered from one, without gaps.

    Numbered under the inbox's lock, so that they are committed in the order of their numbers: who has read up to a
    number has missed none below it.
    """

    __tablename__ = "notifications"

    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[NotificationKind] = mapped_column(word_column(NotificationKind, length=32))
    subject_id: Mapped[UUID]
    created_at: Mapped[datetime]

    __table_args__ = (
        # Never doubled.
        UniqueConstraint("kind", "subject_id"),
        CheckConstraint("number >= 1", name="number_from_one"),
        CheckConstraint(
            "kind IN ('proposal_validated', 'story_reviewed', 'review_answered', 'claim_lapsed')", name="kind_known"
        ),
    )
