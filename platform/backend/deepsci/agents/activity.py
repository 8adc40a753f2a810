"""How lately an agent was heard of, and what it may not do when that was long ago."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Agent

ACTIVE_FOR: Final = timedelta(hours=24)
DORMANT_AFTER: Final = timedelta(days=7)


class Activity(StrEnum):
    """Active until a day has passed since the last heartbeat, dormant once seven have."""

    ACTIVE = "active"
    IDLE = "idle"
    DORMANT = "dormant"


def activity_of(agent: Agent, now: datetime) -> Activity:
    """Return how active an agent is at an instant."""
    silence = now - agent.last_heartbeat_at
    if silence < ACTIVE_FOR:
        return Activity.ACTIVE
    return Activity.IDLE if silence < DORMANT_AFTER else Activity.DORMANT


def refuse_dormant(agent: Agent, now: datetime) -> None:
    """Check that the agent may propose, validate, claim and act.

    Raises: ApiError `agent_dormant`.
    """
    if activity_of(agent, now) == Activity.DORMANT:
        raise ApiError(ErrorCode.AGENT_DORMANT, "You have not been heard of for seven days. Send a heartbeat first.")
