"""The rules of claims: who holds a dweller, for how long, and how many an agent holds.

A claim lapses by itself, a day after its last action, and nobody holds the dweller from that instant on. The row says
so only once somebody has come by and settled it, which also tells the agent.

What is done to a claim is done under its dweller's lock. A new claim also needs the agent's, which it takes first,
so that an agent's claims are counted one after the other. It then locks the dweller together with all whom the agent
still has a claim on, in the order of their ids: were the lapsed ones locked before, two agents that each claim whom
the other has let lapse would wait for each other. Inboxes come last, in the order of their agents.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, not_, or_, select
from sqlalchemy.orm import Session

from deepsci.agents.activity import refuse_dormant
from deepsci.agents.service import lock_agent
from deepsci.clock import Clock
from deepsci.dwellers.service import lock_dweller, lock_dwellers
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, Claim, Dweller, Ending, NotificationKind
from deepsci.notifications.sending import notify
from deepsci.rows import existing

CLAIM_LASTS: Final = timedelta(hours=24)
MAX_HELD: Final = 5


@dataclass(frozen=True)
class Held:
    """A dweller and the claim under which it is held."""

    dweller: Dweller
    claim: Claim


def claim(session: Session, clock: Clock, ids: IdSource, agent: Agent, dweller_id: UUID) -> Held:
    """Return the dweller, now held by the agent. Lapsed claims on it, and the agent's own, are settled on the way.

    Raises: ApiError `agent_dormant`, `dweller_not_found`, `already_holding`, `dweller_held` or `too_many_dwellers`.
    """
    refuse_dormant(agent, clock.now())
    lock_agent(session, agent)
    dweller = lock_with_own_dwellers(session, agent, dweller_id)
    now = clock.now()
    settle_lapsed(session, now, agent_id=agent.id, dweller_id=dweller.id)
    present = present_claim(session, dweller, now)
    refuse_already_holding(present, agent)
    refuse_held(present, agent)
    refuse_above_cap(session, agent, now)
    claim = new_claim(ids, dweller, agent, now)
    session.add(claim)
    session.flush()
    return Held(dweller, claim)


def release(session: Session, clock: Clock, agent: Agent, dweller_id: UUID) -> Dweller:
    """Return the dweller, which the agent no longer holds.

    Raises: ApiError `dweller_not_found` or `not_the_holder`.
    """
    dweller = lock_dweller(session, dweller_id)
    now = clock.now()
    end(own_claim(session, dweller, agent, now), Ending.RELEASED, now)
    session.flush()
    return dweller


def settle_lapsed(
    session: Session, now: datetime, *, agent_id: UUID | None = None, dweller_id: UUID | None = None
) -> None:
    """End every open claim of the agent, and the one on the dweller, that has lapsed, and tell its agent, once.

    Locks the dwellers that it settles, in the order of their ids, and then the inboxes, in the order of their agents:
    a caller that holds a dweller's lock already must hold those of all of them.
    """
    on_either = or_(Claim.agent_id == agent_id, Claim.dweller_id == dweller_id)
    query = select(Claim.dweller_id).where(is_open(), has_lapsed(now), on_either).order_by(Claim.dweller_id)
    dweller_ids = session.scalars(query).all()
    if not dweller_ids:
        return
    lock_dwellers(session, dweller_ids)
    # Again, in a statement after the locks: whoever had them may have settled, ended or prolonged some of the claims.
    lapsed = lapsed_claims(session, dweller_ids, now)
    for claim in lapsed:
        end(claim, Ending.LAPSED, now)
    for claim in lapsed:
        notify(session, claim.agent_id, NotificationKind.CLAIM_LAPSED, claim.id, now)


def lapsed_claims(session: Session, dweller_ids: Collection[UUID], now: datetime) -> list[Claim]:
    """Return the open claims on the dwellers that have lapsed, by agent, in the order in which they did."""
    query = select(Claim).where(Claim.dweller_id.in_(dweller_ids), is_open(), has_lapsed(now))
    ordered = query.order_by(Claim.agent_id, Claim.last_action_at, Claim.dweller_id)
    return list(session.scalars(ordered, execution_options={"populate_existing": True}))


def present_claims(session: Session, dweller_ids: Collection[UUID], now: datetime) -> dict[UUID, Claim]:
    """Return the claims under which the dwellers are held, by dweller; those whom nobody holds are left out."""
    query = select(Claim).where(Claim.dweller_id.in_(dweller_ids), is_open(), not_(has_lapsed(now)))
    claims = session.scalars(query.order_by(Claim.dweller_id), execution_options={"populate_existing": True})
    return {claim.dweller_id: claim for claim in claims}


def present_claim(session: Session, dweller: Dweller, now: datetime) -> Claim | None:
    """Return the claim under which a dweller is held, if it is."""
    return present_claims(session, [dweller.id], now).get(dweller.id)


def own_claim(session: Session, dweller: Dweller, agent: Agent, now: datetime) -> Claim:
    """Return the claim under which the agent holds a dweller, who must be locked if the answer is to last.

    Raises: ApiError `not_the_holder`.
    """
    claim = present_claim(session, dweller, now)
    if claim is None or claim.agent_id != agent.id:
        raise ApiError(ErrorCode.NOT_THE_HOLDER, "You do not hold this dweller. Claim it first.")
    return claim


def lock_with_own_dwellers(session: Session, agent: Agent, dweller_id: UUID) -> Dweller:
    """Return one dweller, locked together with all on whom the agent has an open claim, lapsed or not.

    Under the agent's lock their number is small, and nothing is added to it.

    Raises: ApiError `dweller_not_found`.
    """
    query = select(Claim.dweller_id).where(is_open(), Claim.agent_id == agent.id).order_by(Claim.dweller_id)
    own = session.scalars(query)
    return existing(lock_dwellers(session, {dweller_id, *own}).get(dweller_id), Dweller, dweller_id)


def refuse_already_holding(present: Claim | None, agent: Agent) -> None:
    """Check that the dweller is not held by the agent.

    Raises: ApiError `already_holding`.
    """
    if present is not None and present.agent_id == agent.id:
        raise ApiError(ErrorCode.ALREADY_HOLDING, "You hold this dweller already.")


def refuse_held(present: Claim | None, agent: Agent) -> None:
    """Check that the dweller is not held by another agent.

    Raises: ApiError `dweller_held`.
    """
    if present is not None and present.agent_id != agent.id:
        raise ApiError(ErrorCode.DWELLER_HELD, "Another agent holds this dweller.")


def refuse_above_cap(session: Session, agent: Agent, now: datetime) -> None:
    """Check that the agent may hold one more dweller.

    Raises: ApiError `too_many_dwellers`.
    """
    if count_held(session, agent, now) >= MAX_HELD:
        raise ApiError(ErrorCode.TOO_MANY_DWELLERS, f"You hold {MAX_HELD} dwellers. Release one first.")


def count_held(session: Session, agent: Agent, now: datetime) -> int:
    """Return how many dwellers an agent holds."""
    held = select(func.count()).where(Claim.agent_id == agent.id, is_open(), not_(has_lapsed(now)))
    return session.execute(held).scalar_one()


def is_open() -> ColumnElement[bool]:
    """Return the condition that a claim was neither released nor settled."""
    return Claim.ended_at.is_(None)


def has_lapsed(now: datetime) -> ColumnElement[bool]:
    """Return the condition that the last action under a claim, or else the claim itself, is a day old."""
    return Claim.last_action_at <= now - CLAIM_LASTS


def lapses_at(claim: Claim) -> datetime:
    """Return the first instant at which a claim has lapsed, if nothing is done under it until then."""
    return claim.last_action_at + CLAIM_LASTS


def new_claim(ids: IdSource, dweller: Dweller, agent: Agent, now: datetime) -> Claim:
    """Return a claim on a dweller, not yet in any session."""
    return Claim(id=ids.new_uuid("claim"), dweller_id=dweller.id, agent_id=agent.id, claimed_at=now, last_action_at=now)


def end(claim: Claim, ending: Ending, now: datetime) -> None:
    """End an open claim whose dweller is locked."""
    claim.ended_at = now
    claim.ending = ending
