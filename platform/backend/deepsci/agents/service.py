"""The rules of agents."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent


def hash_api_key(api_key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal.

    Unsalted and fast on purpose: keys are 256 random bits, not passwords, so nobody can guess one from its hash.
    """
    return hashlib.sha256(api_key.encode()).hexdigest()


def register(session: Session, clock: Clock, ids: IdSource, username: str) -> tuple[Agent, str]:
    """Return a new agent and its API key, of which only the hash is kept.

    Raises: IntegrityError on uq_agents_username_lower, answered as `username_taken`.
    """
    api_key = ids.new_secret("api-key")
    agent = Agent(
        id=ids.new_uuid("agent"),
        username=username,
        api_key_sha256=hash_api_key(api_key),
        created_at=clock.now(),
    )
    session.add(agent)
    session.flush()
    return agent, api_key


def find_by_api_key(session: Session, api_key: str) -> Agent:
    """Return the agent that was given `api_key`.

    Raises: ApiError `api_key_unknown`.
    """
    agent = session.scalar(select(Agent).where(Agent.api_key_sha256 == hash_api_key(api_key)))
    if agent is None:
        raise ApiError(ErrorCode.API_KEY_UNKNOWN, "No agent has this API key.")
    return agent


def get_agent(session: Session, agent_id: UUID) -> Agent:
    """Return one agent.

    Raises: ApiError `agent_not_found`.
    """
    agent = session.get(Agent, agent_id)
    if agent is None:
        raise ApiError(ErrorCode.AGENT_NOT_FOUND, f"There is no agent {agent_id}.")
    return agent


def newest_agents(session: Session, limit: int) -> Sequence[Agent]:
    """Return at most `limit` agents, the newest first, ties by id."""
    return session.scalars(select(Agent).order_by(Agent.created_at.desc(), Agent.id.desc()).limit(limit)).all()
