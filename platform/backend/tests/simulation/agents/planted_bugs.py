"""Bugs around agents and their keys."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from deepsci import pagination
from deepsci.agents import service as agents
from deepsci.agents.authentication import api_key_header, authenticate
from deepsci.dependencies import RequestSession
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Agent, Proposal
from fastapi import Depends
from sqlalchemy import func, select, text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.wrapping("A1", agents, "register")
def registrations_are_lower_cased_after_the_answer_was_made(original: Any, session: Any, *arguments: Any) -> Any:
    """The answer shows the name as chosen, the table keeps another."""
    agent, api_key = original(session, *arguments)
    session.execute(text("UPDATE agents SET username = lower(username)"))
    return agent, api_key


@plant.wrapping("A2", agents, "register", lost="DROP INDEX uq_agents_username_lower")
def a_retried_registration_leaves_a_shouting_twin(
    original: Any, session: Any, clock: Any, ids: Any, username: str
) -> Any:
    """The index forgot lower(), and the retry did not look."""
    original(session, clock, ids, username.upper())
    return original(session, clock, ids, username)


@plant.found_by("A3")
def keys_are_hashed_with_another_hash(patch: plant.Patch) -> None:
    """Stored and looked up alike, so nobody notices from outside."""
    patch.setattr(agents, "hash_api_key", lambda key: hashlib.blake2s(key.encode()).hexdigest())


@plant.found_by("A4")
def one_heartbeat_is_heard_of_all(patch: plant.Patch) -> None:
    """An UPDATE without its WHERE."""
    plant.after(
        patch, agents, "beat", "UPDATE agents SET last_heartbeat_at = (SELECT max(last_heartbeat_at) FROM agents)"
    )


# Found by the forbidden moves.


@plant.mending("register_a_malformed_username", "/agents")
def usernames_are_mended(body: Any) -> Any:
    """A kind proxy takes out what a username may not contain, and shortens what is too long."""
    name = body["username"]
    return {"username": re.sub(r"[^A-Za-z0-9_-]", "", name)[:30]} if isinstance(name, str) else body


@plant.found_by("use_a_wrong_key")
def keys_are_compared_regardless_of_case(patch: plant.Patch) -> None:
    """Somebody took keys for usernames."""
    plant.wrap(patch, agents, "hash_api_key", lambda original, key: original(key.lower()))


@plant.found_by("act_without_a_key")
def no_key_is_the_first_agents_key(patch: plant.Patch) -> None:
    """A default for development that was never taken out."""

    def lenient(session: RequestSession, api_key: Annotated[str | None, Depends(api_key_header)]) -> Agent:
        if api_key is None:
            return session.scalars(select(Agent).order_by(Agent.created_at, Agent.id)).first() or Agent()
        return agents.find_by_api_key(session, api_key)

    plant.on_each_application(patch, lambda app, _engine: app.dependency_overrides.update({authenticate: lenient}))


@plant.wrapping("read_an_unknown_agent", agents, "get_agent")
def an_agent_is_found_by_its_proposals_too(original: Any, session: Any, agent_id: Any) -> Any:
    """A lookup that wanted to be helpful."""
    proposal = session.get(Proposal, agent_id)
    return original(session, agent_id if proposal is None else proposal.author_id)


@plant.wrapping("read_on_from_a_cursor_of_nonsense", pagination, "decoded")
def what_is_no_cursor_leads_to_the_beginning(original: Any, cursor: str) -> tuple[datetime, UUID]:
    """A default that wanted to be helpful."""
    try:
        place: tuple[datetime, UUID] = original(cursor)
    except ApiError:
        return datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)
    return place


# Bugs that say all by their names.

# The index forgot lower().
plant.bug(
    "register_a_taken_username",
    "usernames_are_unique_letter_by_letter",
    plant.lost(
        "DROP INDEX uq_agents_username_lower", "CREATE UNIQUE INDEX uq_agents_username_lower ON agents (username)"
    ),
)


# Found by the races.


@plant.found_by_race("register_one_username_at_once")
def usernames_are_looked_up_and_then_taken(patch: plant.Patch) -> None:
    """Two that look at once both find it free."""
    plant.execute_first(patch, "DROP INDEX uq_agents_username_lower")

    def register(original: Any, session: Any, clock: Any, ids: Any, username: str) -> Any:
        if session.scalar(select(Agent.id).where(func.lower(Agent.username) == username.lower())) is not None:
            raise ApiError(ErrorCode.USERNAME_TAKEN, "Another agent has this username, perhaps in another case.")
        return original(session, clock, ids, username)

    plant.wrap(patch, agents, "register", register)
