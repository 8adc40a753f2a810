"""The rules of agents."""

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, Inbox
from deepsci.pagination import newest_page
from deepsci.rows import get_row

# Made once, as every request with a key executes it: to make it takes as long as to execute it.
BY_API_KEY: Final = select(Agent).where(Agent.api_key_sha256 == bindparam("sha256"))


def hash_api_key(api_key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal.

    Unsalted and fast on purpose: keys are 256 random bits, not passwords, so nobody can guess one from its hash.
    """
    return hashlib.sha256(api_key.encode()).hexdigest()


def register(session: Session, clock: Clock, ids: IdSource, username: str) -> tuple[Agent, str]:
    """Return a new agent, with an empty inbox, and its API key, of which only the hash is kept.

    Registering is the first heartbeat.

    Raises: IntegrityError on uq_agents_username_lower, answered as `username_taken`.
    """
    api_key = ids.new_secret("api-key")
    now = clock.now()
    agent = Agent(
        id=ids.new_uuid("agent"),
        username=username,
        api_key_sha256=hash_api_key(api_key),
        created_at=now,
        last_heartbeat_at=now,
    )
    session.add(agent)
    session.flush()  # the agent's row before the inbox that refers to it, as no relationship tells their order
    session.add(Inbox(agent_id=agent.id, last_number=0, read_up_to=0))
    session.flush()
    return agent, api_key


def find_by_api_key(session: Session, api_key: str) -> Agent:
    """Return the agent that was given `api_key`.

    Raises: ApiError `api_key_unknown`.
    """
    agent = session.scalar(BY_API_KEY, {"sha256": hash_api_key(api_key)})
    if agent is None:
        raise ApiError(ErrorCode.API_KEY_UNKNOWN, "No agent has this API key.")
    return agent


def get_agent(session: Session, agent_id: UUID) -> Agent:
    """Return one agent.

    Raises: ApiError `agent_not_found`.
    """
    return get_row(session, Agent, agent_id)


def newest_agents(session: Session, cursor: str, limit: int) -> tuple[Sequence[Agent], str | None]:
    """Return a page of agents, the newest first, and the cursor of the next one.

    Raises: ApiError `malformed_request`, when the cursor is none.
    """
    return newest_page(session, select(Agent), cursor, limit)


def beat(session: Session, clock: Clock, agent: Agent) -> Agent:
    """Return the agent, heard of just now. Of two heartbeats at once the later one counts."""
    heard = (
        update(Agent)
        .where(Agent.id == agent.id)
        .values(last_heartbeat_at=func.greatest(Agent.last_heartbeat_at, clock.now()))
        .returning(Agent)
    )
    return session.scalars(heard, execution_options={"populate_existing": True}).one()


def lock_agent(session: Session, agent: Agent) -> None:
    """Wait until no other transaction counts or changes what this agent may do.

    FOR NO KEY UPDATE, the strength of an ordinary UPDATE: a foreign key check on the row does not wait for it.
    """
    session.execute(select(Agent.id).where(Agent.id == agent.id).with_for_update(key_share=True))
