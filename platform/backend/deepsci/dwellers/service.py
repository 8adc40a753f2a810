"""Creating and reading dwellers, and locking them, at which all that is done to a dweller meets."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.dwellers.schemas import DescribeDweller
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, Dweller, Region
from deepsci.pagination import newest_page
from deepsci.rows import existing, get_row
from deepsci.worlds.service import get_world, refuse_unless_founder

# Made once, as it is executed often: to make it takes as long as to execute it.
LOCK_DWELLERS: Final = (
    select(Dweller)
    .where(Dweller.id.in_(bindparam("ids", expanding=True)))
    .order_by(Dweller.id)
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


def add_dweller(
    session: Session, clock: Clock, ids: IdSource, agent: Agent, world_id: UUID, body: DescribeDweller
) -> Dweller:
    """Return a new dweller in a region of the agent's world.

    Raises: ApiError `world_not_found`, `region_not_found` or `not_the_founder`;
    IntegrityError on uq_dwellers_world_id_name, answered as `dweller_name_taken`.
    """
    world = get_world(session, world_id)
    region = get_region(session, world_id, body.region_id)
    refuse_unless_founder(world, agent)
    dweller = Dweller(
        id=ids.new_uuid("dweller"),
        world_id=world.id,
        region_id=region.id,
        name=body.name,
        persona=body.persona,
        action_count=0,
        created_at=clock.now(),
    )
    session.add(dweller)
    session.flush()
    return dweller


def get_region(session: Session, world_id: UUID, region_id: UUID) -> Region:
    """Return one region of a world.

    Raises: ApiError `region_not_found`, also when it is another world's.
    """
    region = session.scalar(select(Region).where(Region.id == region_id, Region.world_id == world_id))
    if region is None:
        raise ApiError(ErrorCode.REGION_NOT_FOUND, f"There is no region {region_id} in this world.")
    return region


def get_dweller(session: Session, dweller_id: UUID) -> Dweller:
    """Return one dweller.

    Raises: ApiError `dweller_not_found`.
    """
    return get_row(session, Dweller, dweller_id)


def newest_dwellers(session: Session, world_id: UUID, cursor: str, limit: int) -> tuple[Sequence[Dweller], str | None]:
    """Return a page of a world's dwellers, the newest first, and the cursor of the next one.

    Raises: ApiError `malformed_request`, when the cursor is none; `world_not_found`.
    """
    # The page first: what is malformed is said before what is not there.
    page = newest_page(session, select(Dweller).where(Dweller.world_id == world_id), cursor, limit)
    get_world(session, world_id)
    return page


def lock_dwellers(session: Session, dweller_ids: Collection[UUID]) -> dict[UUID, Dweller]:
    """Return those dwellers that exist, as they are once no other transaction is changing them or their claims.

    In the order of their ids, which is one for all: who locks several never waits for somebody who waits for them, as
    long as all are locked by one call. FOR NO KEY UPDATE; see lock_row.
    """
    return {dweller.id: dweller for dweller in session.scalars(LOCK_DWELLERS, {"ids": sorted(dweller_ids)})}


def lock_dweller(session: Session, dweller_id: UUID) -> Dweller:
    """Return one dweller, locked; see lock_dwellers.

    Raises: ApiError `dweller_not_found`.
    """
    return existing(lock_dwellers(session, [dweller_id]).get(dweller_id), Dweller, dweller_id)
