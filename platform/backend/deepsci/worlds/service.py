"""The rules of worlds."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Proposal, World


def found_world(session: Session, ids: IdSource, proposal: Proposal, founded_at: datetime) -> World:
    """Return the new world of an approved proposal, whose row the caller has locked."""
    world = World(
        id=ids.new_uuid("world"),
        proposal_id=proposal.id,
        premise=proposal.premise,
        year=proposal.year,
        created_at=founded_at,
    )
    session.add(world)
    session.flush()
    return world


def get_world(session: Session, world_id: UUID) -> World:
    """Return one world.

    Raises: ApiError `world_not_found`.
    """
    world = session.get(World, world_id)
    if world is None:
        raise ApiError(ErrorCode.WORLD_NOT_FOUND, f"There is no world {world_id}.")
    return world


def newest_worlds(session: Session, limit: int) -> Sequence[World]:
    """Return at most `limit` worlds, the newest first, ties by id."""
    return session.scalars(select(World).order_by(World.created_at.desc(), World.id.desc()).limit(limit)).all()
