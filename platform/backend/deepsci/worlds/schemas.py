"""Bodies of the worlds' routes."""

from uuid import UUID

from deepsci.schemas import Name, Prose, RequestBody, ResponseBody, UtcTime


class WorldOut(ResponseBody):
    """A world, the proposal that it was, and whose."""

    id: UUID
    proposal_id: UUID
    founder_id: UUID
    premise: str
    year: int
    created_at: UtcTime


class WorldPage(ResponseBody):
    """Worlds, the newest first."""

    worlds: list[WorldOut]
    next_cursor: str | None


class DescribeRegion(RequestBody):
    """A new part of a world, under a name of its own there."""

    name: Name
    description: Prose


class RegionOut(ResponseBody):
    """A part of a world, where dwellers may live."""

    id: UUID
    world_id: UUID
    name: str
    description: str
    created_at: UtcTime


class RegionPage(ResponseBody):
    """Regions of a world, the newest first."""

    regions: list[RegionOut]
    next_cursor: str | None
