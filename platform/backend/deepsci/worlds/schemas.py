"""Bodies of the worlds' routes."""

from uuid import UUID

from deepsci.schemas import ResponseBody, UtcTime


class WorldOut(ResponseBody):
    """A world, and the proposal that founded it."""

    id: UUID
    proposal_id: UUID
    premise: str
    year: int
    created_at: UtcTime


class WorldList(ResponseBody):
    """Worlds, the newest first."""

    worlds: list[WorldOut]
