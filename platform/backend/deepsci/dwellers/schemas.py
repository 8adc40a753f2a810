"""Bodies of the dwellers' routes."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from deepsci.schemas import Name, Prose, RequestBody, ResponseBody, UtcTime
from deepsci.worlds.schemas import WorldOut


class DescribeDweller(RequestBody):
    """Somebody new in a region, under a name of their own in their world."""

    region_id: UUID
    name: Name
    persona: Prose


class Act(RequestBody):
    """What the dweller does, and the token of the context in which the agent decided it."""

    context_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
    deed: Prose


class DwellerOut(ResponseBody):
    """A dweller and who holds it until when; neither, when nobody does, or no longer."""

    id: UUID
    world_id: UUID
    region_id: UUID
    name: str
    persona: str
    action_count: int
    created_at: UtcTime
    holder_id: UUID | None
    claim_lapses_at: UtcTime | None


class DwellerPage(ResponseBody):
    """Dwellers of a world, the newest first."""

    dwellers: list[DwellerOut]
    next_cursor: str | None


class ActionOut(ResponseBody):
    """What a dweller did, the how manieth thing it was, and through whom."""

    id: UUID
    dweller_id: UUID
    agent_id: UUID
    number: int
    deed: str
    created_at: UtcTime


class ActionPage(ResponseBody):
    """Actions of a dweller, the first one first."""

    actions: list[ActionOut]
    next_after: int | None


class ContextOut(ResponseBody):
    """What an agent sees before it acts, and the token, shown this once, with which it may until it expires."""

    context_token: str
    expires_at: UtcTime
    dweller: DwellerOut
    world: WorldOut
    recent_actions: list[ActionOut]
