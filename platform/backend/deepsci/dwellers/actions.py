"""The rules of actions, which take two steps: first the agent is shown the context, then it acts on what it saw.

The first step gives a token that is good for one action, soon, and under the claim under which it was asked for. Both
steps take the dweller's lock: its actions are numbered one after the other, of two that spend one token the second
finds it spent, and the claim does not end in between.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.agents.activity import refuse_dormant
from deepsci.clock import Clock
from deepsci.dwellers.claims import Held, own_claim
from deepsci.dwellers.schemas import Act
from deepsci.dwellers.service import get_dweller, lock_dweller
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Action, Agent, Claim, ContextToken, Dweller, World
from deepsci.pagination import numbered_page
from deepsci.worlds.service import get_world

TOKEN_LASTS: Final = timedelta(minutes=10)
MAX_RECENT_ACTIONS: Final = 5


@dataclass(frozen=True)
class Context:
    """What the agent is shown, and the secret, of which only the hash is kept."""

    secret: str
    token: ContextToken
    held: Held
    world: World
    recent_actions: Sequence[Action]


def read_context(session: Session, clock: Clock, ids: IdSource, agent: Agent, dweller_id: UUID) -> Context:
    """Return the context in which a dweller whom the agent holds may act. The claim lasts no longer for it.

    Raises: ApiError `agent_dormant`, `dweller_not_found` or `not_the_holder`.
    """
    refuse_dormant(agent, clock.now())
    dweller = lock_dweller(session, dweller_id)
    now = clock.now()
    claim = own_claim(session, dweller, agent, now)
    secret = ids.new_secret("context-token")
    token = new_token(ids, claim, secret, now)
    session.add(token)
    session.flush()
    world = get_world(session, dweller.world_id)
    return Context(secret, token, Held(dweller, claim), world, recent_actions(session, dweller))


def act(session: Session, clock: Clock, ids: IdSource, agent: Agent, dweller_id: UUID, body: Act) -> Action:
    """Return what the dweller has now done. The token is spent, and the claim lasts for a day from now.

    Raises: ApiError `agent_dormant`, `dweller_not_found`, `not_the_holder`, `context_token_unknown`,
    `context_token_spent` or `context_token_expired`.
    """
    refuse_dormant(agent, clock.now())
    dweller = lock_dweller(session, dweller_id)
    now = clock.now()
    claim = own_claim(session, dweller, agent, now)
    token = find_token(session, claim, body.context_token)
    refuse_spent(token)
    refuse_expired(token, now)
    spend(token, now)
    prolong(claim, now)
    action = next_action(ids, dweller, agent, token, body.deed, now)
    session.add(action)
    session.flush()
    return action


def actions_of(session: Session, dweller_id: UUID, after: int, limit: int) -> tuple[Sequence[Action], int | None]:
    """Return a page of a dweller's actions, the first one first, and what is `after` for the next one.

    Raises: ApiError `dweller_not_found`.
    """
    get_dweller(session, dweller_id)
    return numbered_page(session, select(Action).where(Action.dweller_id == dweller_id), after, limit)


def recent_actions(session: Session, dweller: Dweller) -> Sequence[Action]:
    """Return the last few actions of a dweller, the first one first."""
    latest = select(Action).where(Action.dweller_id == dweller.id).order_by(Action.number.desc())
    return session.scalars(latest.limit(MAX_RECENT_ACTIONS)).all()[::-1]


def hash_token(secret: str) -> str:
    """Return the SHA-256 of a token in hexadecimal; see hash_api_key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find_token(session: Session, claim: Claim, secret: str) -> ContextToken:
    """Return the token that was given under a claim on a dweller who is locked.

    Raises: ApiError `context_token_unknown`, also when it was given under another claim.
    """
    given = select(ContextToken).where(
        ContextToken.token_sha256 == hash_token(secret), ContextToken.claim_id == claim.id
    )
    token = session.scalar(given, execution_options={"populate_existing": True})
    if token is None:
        raise ApiError(ErrorCode.CONTEXT_TOKEN_UNKNOWN, "You were given no such token since you claimed this dweller.")
    return token


def refuse_spent(token: ContextToken) -> None:
    """Check that nothing was done with the token yet.

    Raises: ApiError `context_token_spent`.
    """
    if token.spent_at is not None:
        raise ApiError(ErrorCode.CONTEXT_TOKEN_SPENT, "A token is good for one action. Ask for the context again.")


def refuse_expired(token: ContextToken, now: datetime) -> None:
    """Check that the context was seen a short time ago.

    Raises: ApiError `context_token_expired`.
    """
    if now >= expires_at(token):
        raise ApiError(ErrorCode.CONTEXT_TOKEN_EXPIRED, "The context may have changed. Ask for it again.")


def expires_at(token: ContextToken) -> datetime:
    """Return the first instant at which a token has expired."""
    return token.issued_at + TOKEN_LASTS


def spend(token: ContextToken, now: datetime) -> None:
    """Take note that a token's action was done."""
    token.spent_at = now


def prolong(claim: Claim, now: datetime) -> None:
    """Take note that something was done under a claim."""
    claim.last_action_at = now


def new_token(ids: IdSource, claim: Claim, secret: str, now: datetime) -> ContextToken:
    """Return a token for a claim, not yet in any session."""
    return ContextToken(
        id=ids.new_uuid("context-token"), claim_id=claim.id, token_sha256=hash_token(secret), issued_at=now
    )


def next_action(ids: IdSource, dweller: Dweller, agent: Agent, token: ContextToken, deed: str, now: datetime) -> Action:
    """Return the next action of a dweller who is locked, not yet in any session, and count it."""
    dweller.action_count += 1
    return Action(
        id=ids.new_uuid("action"),
        dweller_id=dweller.id,
        agent_id=agent.id,
        context_token_id=token.id,
        number=dweller.action_count,
        deed=deed,
        created_at=now,
    )
