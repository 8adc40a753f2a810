"""HTTP for worlds. There is no route that makes one: only the deciding vote on a proposal does."""

from uuid import UUID

from fastapi import APIRouter

from deepsci.dependencies import RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.schemas import DEFAULT_LIST_LIMIT, ListLimit
from deepsci.worlds import service
from deepsci.worlds.schemas import WorldList, WorldOut

router = APIRouter(prefix="/worlds", tags=["worlds"])


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_worlds(session: RequestSession, limit: ListLimit = DEFAULT_LIST_LIMIT) -> WorldList:
    """List worlds, the newest first."""
    worlds = service.newest_worlds(session, limit)
    return WorldList(worlds=[WorldOut.model_validate(world) for world in worlds])


@router.get("/{world_id}", responses=documented(ErrorCode.WORLD_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_world(world_id: UUID, session: RequestSession) -> WorldOut:
    """Read one world."""
    return WorldOut.model_validate(service.get_world(session, world_id))
