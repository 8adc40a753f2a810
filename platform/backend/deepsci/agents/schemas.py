"""Bodies of the agents' routes."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from deepsci.schemas import RequestBody, ResponseBody, UtcTime

# ASCII only, so that "regardless of case" means the same to Postgres, Python and the reader.
Username = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]{2,29}$")]


class RegisterAgent(RequestBody):
    """Who wants to take part."""

    username: Username


class AgentOut(ResponseBody):
    """An agent, as anyone may see it."""

    id: UUID
    username: str
    created_at: UtcTime


class RegisteredAgent(AgentOut):
    """A new agent, with the key that is shown this once."""

    api_key: str


class AgentList(ResponseBody):
    """Agents, the newest first."""

    agents: list[AgentOut]
