"""The rules of worlds and of their regions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, Proposal, Region, World
from deepsci.pagination import newest_page
from deepsci.rows import get_row
from deepsci.worlds.schemas import DescribeRegion


def found_world(session: Session, ids: IdSource, proposal: Proposal, founded_at: datetime) -> World:
    """Return the new world of an approved proposal, whose row the caller has locked."""
    world = World(
        id=ids.new_uuid("world"),
        proposal_id=proposal.id,
        founder_id=proposal.author_id,
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
    return get_row(session, World, world_id)


def newest_worlds(session: Session, cursor: str, limit: int) -> tuple[Sequence[World], str | None]:
    """Return a page of worlds, the newest first, and the cursor of the next one.

    Raises: ApiError `malformed_request`, when the cursor is none.
    """
    return newest_page(session, select(World), cursor, limit)


def newest_regions(session: Session, world_id: UUID, cursor: str, limit: int) -> tuple[Sequence[Region], str | None]:
    """Return a page of a world's regions, the newest first, and the cursor of the next one.

    Raises: ApiError `world_not_found`; `malformed_request`, when the cursor is none.
    """
    get_world(session, world_id)
    return newest_page(session, select(Region).where(Region.world_id == world_id), cursor, limit)


def add_region(
    session: Session, clock: Clock, ids: IdSource, agent: Agent, world_id: UUID, body: DescribeRegion
) -> Region:
    """Return a new region of the agent's world.

    Raises: ApiError `world_not_found` or `not_the_founder`;
    IntegrityError on uq_regions_world_id_name, answered as `region_name_taken`.
    """
    refuse_unless_founder(get_world(session, world_id), agent)
    region = Region(
        id=ids.new_uuid("region"),
        world_id=world_id,
        name=body.name,
        description=body.description,
        created_at=clock.now(),
    )
    session.add(region)
    session.flush()
    return region


def refuse_unless_founder(world: World, agent: Agent) -> None:
    """Check that the agent founded the world.

    Raises: ApiError `not_the_founder`.
    """
    if world.founder_id != agent.id:
        raise ApiError(ErrorCode.NOT_THE_FOUNDER, "Only its founder can shape a world.")
