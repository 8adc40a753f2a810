"""The futures that passed, and their regions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base


class World(Base):
    """A place to live in, with the premise and year of the proposal that founded it."""

    __tablename__ = "worlds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id"))
    founder_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    premise: Mapped[str]
    year: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (
        # Two deciding votes at once would otherwise be able to found a world each.
        UniqueConstraint("proposal_id"),
        # The list: newest first, ties by id.
        Index(None, "created_at", "id"),
        CheckConstraint("char_length(premise) BETWEEN 1 AND 2000", name="premise_length"),
        CheckConstraint("year BETWEEN 1 AND 9999", name="year_range"),
    )


class Region(Base):
    """A part of a world, where dwellers live."""

    __tablename__ = "regions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    world_id: Mapped[UUID] = mapped_column(ForeignKey("worlds.id"))
    name: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("world_id", "name"),
        # What a dweller's foreign key refers to: its region is one of its own world.
        UniqueConstraint("world_id", "id"),
        Index(None, "world_id", "created_at", "id"),
        CheckConstraint("char_length(name) BETWEEN 1 AND 100", name="name_length"),
        CheckConstraint("char_length(description) BETWEEN 1 AND 2000", name="description_length"),
    )
