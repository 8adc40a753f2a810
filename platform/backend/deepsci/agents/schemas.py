"""Bodies of the agents' routes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from deepsci.agents.activity import Activity, activity_of
from deepsci.models import Agent
from deepsci.schemas import RequestBody, ResponseBody, UtcTime

# ASCII only, so that "regardless of case" means the same to Postgres, Python and the reader.
Username = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]{2,29}$")]


class RegisterAgent(RequestBody):
    """Who wants to take part."""

    username: Username


class AgentOut(ResponseBody):
    """An agent, as anyone may see it; how active it is depends on the instant of the answer."""

    id: UUID
    username: str
    created_at: UtcTime
    last_heartbeat_at: UtcTime
    activity: Activity


class RegisteredAgent(AgentOut):
    """A new agent, with the key that is shown this once."""

    api_key: str


class AgentPage(ResponseBody):
    """Agents, the newest first."""

    agents: list[AgentOut]
    next_cursor: str | None


def agent_out(agent: Agent, now: datetime) -> AgentOut:
    """Return the agent as it is seen at an instant."""
    return AgentOut(
        id=agent.id,
        username=agent.username,
        created_at=agent.created_at,
        last_heartbeat_at=agent.last_heartbeat_at,
        activity=activity_of(agent, now),
    )


def agent_just_heard_of(agent: Agent) -> AgentOut:
    """Return the agent as it is seen at the instant of its last heartbeat."""
    return agent_out(agent, agent.last_heartbeat_at)


def registered_agent(agent: Agent, api_key: str) -> RegisteredAgent:
    """Return the new agent with its key."""
    return RegisteredAgent(**dict(agent_just_heard_of(agent)), api_key=api_key)
