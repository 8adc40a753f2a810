"""Bugs that only requests at once can show: as long as one comes after another, nothing is wrong.

What a lock, a constraint or one statement has kept together falls apart. No wrapper here may remember anything but in
the session of its request, as requests come between each other.
"""

from typing import Any

from deepsci import idempotency
from deepsci.agents import service as agents
from deepsci.dwellers import actions, claims
from deepsci.dwellers import service as dwellers
from deepsci.errors import ApiError, ErrorCode
from deepsci.feedback import service as feedback
from deepsci.models import (
    Agent,
    Claim,
    ContextToken,
    Dweller,
    Ending,
    IdempotentRequest,
    Inbox,
    Notification,
    NotificationKind,
    Proposal,
    Validation,
)
from deepsci.notifications import service as notifications
from deepsci.notifications.sending import notify
from deepsci.proposals import service as proposals
from deepsci.stories import reviews
from deepsci.stories import service as stories
from sqlalchemy import func, or_, select, update

from simulation_checks.planted_bugs.planting import Patch, execute_first, found_at_once, wrap

# A FOR UPDATE was removed.


@found_at_once("claim_one_dweller_at_once")
@found_at_once("claim_a_dweller_while_it_is_released")
@found_at_once("act_while_the_dweller_is_released")
def dwellers_are_not_locked(patch: Patch) -> None:
    """The index and the constraints still hold, and whoever comes second is told of a failure."""

    def lock_dwellers(_original: Any, session: Any, dweller_ids: Any) -> Any:
        query = select(Dweller).where(Dweller.id.in_(sorted(dweller_ids)))
        return {dweller.id: dweller for dweller in session.scalars(query)}

    wrap(patch, dwellers, "lock_dwellers", lock_dwellers)
    wrap(patch, claims, "lock_dwellers", lock_dwellers)


@found_at_once("submit_one_draft_at_once")
@found_at_once("revise_one_proposal_at_once")
def proposals_are_not_locked(patch: Patch) -> None:
    """What was read before somebody else changed it is changed again."""
    patch.setattr(proposals, "lock_proposal", lambda session, proposal_id: found(session, Proposal, proposal_id))


@found_at_once("read_while_one_is_told")
def how_far_one_has_read_is_compared_without_a_lock(patch: Patch) -> None:
    """The later of two requests takes back what the other one said, or says of old that there is nothing new."""
    patch.setattr(notifications, "lock_inbox", notifications.read_inbox)


def found(session: Any, model: Any, row_id: Any) -> Any:
    """Return a row as it was, with no lock."""
    return proposals.existing(session.get(model, row_id), row_id)


# A constraint was lost, and what it is there for is looked up before.


@found_at_once("register_one_username_at_once")
def usernames_are_looked_up_and_then_taken(patch: Patch) -> None:
    """Two that look at once both find it free."""
    execute_first(patch, "DROP INDEX uq_agents_username_lower")

    def register(original: Any, session: Any, clock: Any, ids: Any, username: str) -> Any:
        if session.scalar(select(Agent.id).where(func.lower(Agent.username) == username.lower())) is not None:
            raise ApiError(ErrorCode.USERNAME_TAKEN, "Another agent has this username, perhaps in another case.")
        return original(session, clock, ids, username)

    wrap(patch, agents, "register", register)


@found_at_once("claim_one_dweller_at_once")
def dwellers_are_not_locked_and_the_index_on_open_claims_was_lost(patch: Patch) -> None:
    """Both hold it."""
    execute_first(patch, "DROP INDEX uq_claims_dweller_id_open")
    dwellers_are_not_locked(patch)


@found_at_once("use_one_key_at_once")
@found_at_once("register_with_one_key_at_once")
def idempotency_keys_are_looked_up_and_then_taken(patch: Patch) -> None:
    """A request that was sent again before it was answered has its effect twice, or fails."""
    execute_first(patch, "ALTER TABLE idempotent_requests DROP CONSTRAINT uq_idempotent_requests_agent_id_key_sha256")

    def take(promise: idempotency.Once, key: str) -> Any:
        key_sha256 = idempotency._sha256(key)
        query = select(IdempotentRequest.id).where(
            IdempotentRequest.agent_id == promise._agent_id, IdempotentRequest.key_sha256 == key_sha256
        )
        if promise.session.scalar(query) is not None:
            return None
        taken = IdempotentRequest(
            id=promise.ids.new_uuid("idempotent-request"),
            agent_id=promise._agent_id,
            key_sha256=key_sha256,
            request_sha256=promise.request_sha256,
            created_at=promise.clock.now(),
        )
        promise.session.add(taken)
        promise.session.flush()
        return taken

    patch.setattr(idempotency.Once, "_take", take)


# A count is read, changed in Python, and written.


@found_at_once("upvote_one_feedback_at_once")
def upvotes_are_counted_without_a_lock(patch: Patch) -> None:
    """One of two is lost."""
    patch.setattr(feedback, "lock_feedback", feedback.get_feedback)


@found_at_once("review_one_story_at_once", by="S5")
@found_at_once("respond_to_one_storys_reviews_at_once", by="S5")
def reviews_are_counted_without_a_lock(patch: Patch) -> None:
    """One of two is lost, and no answer says so."""
    patch.setattr(reviews, "lock_story", stories.get_story)


@found_at_once("tell_one_author_at_once")
def notifications_are_numbered_in_python(patch: Patch) -> None:
    """Two get the same number."""

    def notify_in_python(session: Any, agent_id: Any, kind: Any, subject_id: Any, now: Any) -> None:
        number = session.scalar(select(Inbox.last_number).where(Inbox.agent_id == agent_id)) + 1
        session.execute(update(Inbox).where(Inbox.agent_id == agent_id).values(last_number=number))
        session.add(Notification(agent_id=agent_id, number=number, kind=kind, subject_id=subject_id, created_at=now))
        session.flush()

    patch.setattr(proposals, "notify", notify_in_python)


# What a lock is there for is looked at before the lock.


@found_at_once("draft_beyond_the_cap_at_once")
def open_proposals_are_counted_before_the_lock(patch: Patch) -> None:
    """Two that are each the third come to four."""

    def draft(original: Any, session: Any, clock: Any, ids: Any, author: Any, body: Any) -> Any:
        session.info["open before the lock"] = proposals.count_open(session, author)
        return original(session, clock, ids, author, body)

    def refuse_above_cap(session: Any, _author: Any) -> None:
        if session.info["open before the lock"] >= proposals.MAX_OPEN_PROPOSALS:
            raise ApiError(ErrorCode.TOO_MANY_OPEN_PROPOSALS, "You have enough open proposals.")

    wrap(patch, proposals, "draft", draft)
    patch.setattr(proposals, "refuse_above_cap", refuse_above_cap)


@found_at_once("claim_beyond_the_cap_at_once")
def held_dwellers_are_counted_before_the_lock(patch: Patch) -> None:
    """Two that are each the fifth come to six."""

    def lock_agent(original: Any, session: Any, agent: Any) -> None:
        session.info["held before the lock"] = claims.count_held(session, agent, session.info["now"])
        original(session, agent)

    def claim(original: Any, session: Any, clock: Any, ids: Any, agent: Any, dweller_id: Any) -> Any:
        session.info["now"] = clock.now()
        return original(session, clock, ids, agent, dweller_id)

    def refuse_above_cap(session: Any, _agent: Any, _now: Any) -> None:
        if session.info["held before the lock"] >= claims.MAX_HELD:
            raise ApiError(ErrorCode.TOO_MANY_DWELLERS, "You hold enough dwellers. Release one first.")

    wrap(patch, claims, "claim", claim)
    wrap(patch, claims, "lock_agent", lock_agent)
    patch.setattr(claims, "refuse_above_cap", refuse_above_cap)


@found_at_once("spend_one_token_at_once")
def tokens_are_looked_at_before_the_lock(patch: Patch) -> None:
    """Two find it unspent, and spend it one after the other; the constraint that would have noticed was lost."""
    execute_first(patch, "ALTER TABLE actions DROP CONSTRAINT uq_actions_context_token_id")

    def act(original: Any, session: Any, clock: Any, ids: Any, agent: Any, dweller_id: Any, body: Any) -> Any:
        given = select(ContextToken.spent_at).where(ContextToken.token_sha256 == actions.hash_token(body.context_token))
        session.info["was spent"] = session.scalar(given) is not None
        return original(session, clock, ids, agent, dweller_id, body)

    def find_token(original: Any, session: Any, claim: Any, secret: str) -> Any:
        token = original(session, claim, secret)
        token.was_spent = session.info["was spent"]
        return token

    def refuse_spent(token: Any) -> None:
        if token.was_spent:
            raise ApiError(ErrorCode.CONTEXT_TOKEN_SPENT, "A token is good for one action. Ask for the context again.")

    wrap(patch, actions, "act", act)
    wrap(patch, actions, "find_token", find_token)
    patch.setattr(actions, "refuse_spent", refuse_spent)


@found_at_once("validate_one_proposal_at_once")
def votes_are_counted_before_the_lock(patch: Patch) -> None:
    """Two that are each the second are each taken for the first, and nothing is decided."""

    def validate(original: Any, session: Any, clock: Any, ids: Any, agent: Any, proposal_id: Any, body: Any) -> Any:
        counted = select(func.count()).where(Validation.proposal_id == proposal_id, Validation.verdict == body.verdict)
        session.info["votes before the lock"] = session.scalar(counted)
        return original(session, clock, ids, agent, proposal_id, body)

    wrap(patch, proposals, "validate", validate)
    patch.setattr(
        proposals, "count_votes", lambda session, _proposal, _verdict: session.info["votes before the lock"] + 1
    )


@found_at_once("claim_what_has_lapsed_at_once")
def lapsed_claims_are_looked_up_before_the_lock(patch: Patch) -> None:
    """Whoever comes second settles them again, and would tell of them again."""

    def settle_lapsed(session: Any, now: Any, *, agent_id: Any = None, dweller_id: Any = None) -> None:
        on_either = or_(Claim.agent_id == agent_id, Claim.dweller_id == dweller_id)
        query = select(Claim).where(claims.is_open(), claims.has_lapsed(now), on_either)
        lapsed = session.scalars(query.order_by(Claim.agent_id, Claim.last_action_at, Claim.dweller_id)).all()
        dwellers.lock_dwellers(session, [claim.dweller_id for claim in lapsed])
        for claim in lapsed:
            claims.end(claim, Ending.LAPSED, now)
        for claim in lapsed:
            notify(session, claim.agent_id, NotificationKind.CLAIM_LAPSED, claim.id, now)

    patch.setattr(notifications, "settle_lapsed", settle_lapsed)


# Locks are taken in another order.


@found_at_once("claim_what_has_lapsed_at_once")
def ones_own_dwellers_are_locked_one_by_one(patch: Patch) -> None:
    """From the last one on, while whoever reads of their lapse locks them from the first one on."""

    def lock_with_own_dwellers(session: Any, agent: Any, dweller_id: Any) -> Any:
        own = session.scalars(select(Claim.dweller_id).where(claims.is_open(), Claim.agent_id == agent.id))
        locked = {one: dwellers.lock_dweller(session, one) for one in sorted({dweller_id, *own}, reverse=True)}
        return locked[dweller_id]

    patch.setattr(claims, "lock_with_own_dwellers", lock_with_own_dwellers)
