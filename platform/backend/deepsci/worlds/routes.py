"""HTTP for worlds and their regions. No route makes a world: only the deciding vote on a proposal does."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.pagination import DEFAULT_LIMIT, Cursor, Limit
from deepsci.routing import PatientRoute
from deepsci.worlds import service
from deepsci.worlds.schemas import DescribeRegion, RegionOut, RegionPage, WorldOut, WorldPage

router = APIRouter(prefix="/worlds", tags=["worlds"], route_class=PatientRoute)


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_worlds(session: RequestSession, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT) -> WorldPage:
    """List worlds, the newest first."""
    worlds, next_cursor = service.newest_worlds(session, cursor, limit)
    return WorldPage(worlds=[WorldOut.model_validate(world) for world in worlds], next_cursor=next_cursor)


@router.get("/{world_id}", responses=documented(ErrorCode.WORLD_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_world(world_id: UUID, session: RequestSession) -> WorldOut:
    """Read one world."""
    return WorldOut.model_validate(service.get_world(session, world_id))


@router.post(
    "/{world_id}/regions",
    status_code=201,
    response_model=RegionOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.WORLD_NOT_FOUND,
        ErrorCode.NOT_THE_FOUNDER,
        ErrorCode.REGION_NAME_TAKEN,
    ),
)
def add_region(
    world_id: UUID,
    body: DescribeRegion,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Add a region to the world one founded."""
    return once(201, lambda: RegionOut.model_validate(service.add_region(session, clock, ids, agent, world_id, body)))


@router.get("/{world_id}/regions", responses=documented(ErrorCode.WORLD_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def list_regions(
    world_id: UUID, session: RequestSession, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> RegionPage:
    """List the regions of a world, the newest first."""
    regions, next_cursor = service.newest_regions(session, world_id, cursor, limit)
    return RegionPage(regions=[RegionOut.model_validate(region) for region in regions], next_cursor=next_cursor)
