"""Requests that were sent with an Idempotency-Key, and how they were answered."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base


class IdempotentRequest(Base):
    """A request and its answer, which only somebody with the key can read: it may contain a secret."""

    __tablename__ = "idempotent_requests"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # None where an agent registers, as there is none yet.
    agent_id: Mapped[UUID | None] = mapped_column(ForeignKey("agents.id"))
    key_sha256: Mapped[str]
    request_sha256: Mapped[str]
    # Empty only within the transaction that answers it.
    status: Mapped[int | None]
    sealed_answer: Mapped[bytes | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        # Two that arrive together: the second waits here for the first.
        UniqueConstraint("agent_id", "key_sha256", postgresql_nulls_not_distinct=True),
        CheckConstraint("key_sha256 ~ '^[0-9a-f]{64}$'", name="key_sha256_format"),
        CheckConstraint("request_sha256 ~ '^[0-9a-f]{64}$'", name="request_sha256_format"),
        CheckConstraint("status BETWEEN 200 AND 499", name="status_range"),
        CheckConstraint("(status IS NULL) = (sealed_answer IS NULL)", name="answered_whole"),
    )
