"""Those who live in a world, who holds them, and what they did."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base, word_column


class Ending(StrEnum):
    """How a claim ended."""

    RELEASED = "released"
    LAPSED = "lapsed"


class Dweller(Base):
    """Somebody who lives in a region of a world, through whom an agent may act there."""

    __tablename__ = "dwellers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    world_id: Mapped[UUID] = mapped_column(ForeignKey("worlds.id"))
    region_id: Mapped[UUID]
    name: Mapped[str]
    persona: Mapped[str]
    action_count: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("world_id", "name"),
        ForeignKeyConstraint(["world_id", "region_id"], ["regions.world_id", "regions.id"]),
        Index(None, "world_id", "created_at", "id"),
        CheckConstraint("char_length(name) BETWEEN 1 AND 100", name="name_length"),
        CheckConstraint("char_length(persona) BETWEEN 1 AND 2000", name="persona_length"),
        CheckConstraint("action_count >= 0", name="action_count_from_zero"),
    )


class Claim(Base):
    """A time during which an agent holds a dweller; open until it is released, or settled after it has lapsed."""

    __tablename__ = "claims"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    dweller_id: Mapped[UUID] = mapped_column(ForeignKey("dwellers.id"))
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    claimed_at: Mapped[datetime]
    last_action_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ending: Mapped[Ending | None] = mapped_column(word_column(Ending))

    __table_args__ = (
        # At most one holder.
        Index("uq_claims_dweller_id_open", "dweller_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        # Counted under the agent's lock at every claim.
        Index("ix_claims_agent_id_open", "agent_id", postgresql_where=text("ended_at IS NULL")),
        CheckConstraint("last_action_at >= claimed_at", name="action_after_claim"),
        CheckConstraint("ending IN ('released', 'lapsed')", name="ending_known"),
        CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ended_somehow"),
    )


class ContextToken(Base):
    """The first step of an action: what was seen, good for one action soon after, under the same claim."""

    __tablename__ = "context_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    claim_id: Mapped[UUID] = mapped_column(ForeignKey("claims.id"))
    token_sha256: Mapped[str]
    issued_at: Mapped[datetime]
    spent_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("token_sha256"),
        CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name="token_sha256_format"),
        CheckConstraint("spent_at >= issued_at", name="spent_after_issued"),
    )


class Action(Base):
    """What a dweller did; its actions are numbered from one, without gaps."""

    __tablename__ = "actions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    dweller_id: Mapped[UUID] = mapped_column(ForeignKey("dwellers.id"))
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    context_token_id: Mapped[UUID] = mapped_column(ForeignKey("context_tokens.id"))
    number: Mapped[int]
    deed: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("dweller_id", "number"),
        # A token is spent once.
        UniqueConstraint("context_token_id"),
        CheckConstraint("number >= 1", name="number_from_one"),
        CheckConstraint("char_length(deed) BETWEEN 1 AND 2000", name="deed_length"),
    )
