"""Bugs around acting through dwellers."""

import hashlib
from datetime import timedelta
from typing import Any

from deepsci.dwellers import actions
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Claim, ContextToken
from sqlalchemy import select

from simulation.dwellers.planted_bugs import as_if_nothing_lapsed, whoever_holds
from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("C1")
def the_second_action_is_kept_as_the_third(patch: plant.Patch) -> None:
    """Two counters, and the answer was made with the other one."""
    plant.after(patch, actions, "act", "UPDATE actions SET number = 3 WHERE number = 2")


@plant.followed("C2", actions, "act")
def actions_are_put_down_to_the_first_holder() -> str:
    """A dweller is taken for its first holder's for ever."""
    return (
        "UPDATE actions SET agent_id = first.agent_id "
        "FROM (SELECT DISTINCT ON (dweller_id) * FROM claims ORDER BY dweller_id, claimed_at, id) first "
        "WHERE first.dweller_id = actions.dweller_id"
    )


@plant.followed("C3", actions, "act")
def acting_spends_all_tokens_of_the_claim() -> str:
    """An UPDATE whose WHERE names the claim and not the token."""
    return (
        "UPDATE context_tokens SET spent_at = spent.spent_at FROM context_tokens spent "
        "WHERE spent.claim_id = context_tokens.claim_id AND spent.spent_at >= context_tokens.issued_at "
        "AND context_tokens.spent_at IS NULL"
    )


@plant.found_by("C4")
def tokens_are_hashed_with_another_hash(patch: plant.Patch) -> None:
    """Stored and looked up alike, so nobody notices from outside."""
    patch.setattr(actions, "hash_token", lambda secret: hashlib.blake2s(secret.encode()).hexdigest())


@plant.followed("C5", actions, "act")
def tokens_are_spent_when_they_would_have_expired() -> str:
    """The one time was stored for the other."""
    return "UPDATE context_tokens SET spent_at = issued_at + interval '10 minutes' WHERE spent_at IS NOT NULL"


# Found by the forbidden moves.


@plant.found_by("act_with_an_expired_token")
def tokens_last_a_minute_longer(patch: plant.Patch) -> None:
    """For those with slow clocks."""
    plant.wrap(
        patch, actions, "refuse_expired", lambda original, token, now: original(token, now - timedelta(minutes=1))
    )


@plant.found_by("act_with_an_unknown_token")
def tokens_are_compared_regardless_of_case(patch: plant.Patch) -> None:
    """Somebody took tokens for usernames."""
    plant.wrap(patch, actions, "hash_token", lambda original, secret: original(secret.lower()))


@plant.wrapping("act_with_a_token_for_another_dweller", actions, "find_token")
def tokens_are_good_for_all_whom_one_holds(original: Any, session: Any, claim: Any, secret: str) -> Any:
    """They are looked up by the agent."""
    open_to_it = Claim.agent_id == claim.agent_id, Claim.ended_at.is_(None)
    return token_where(session, secret, *open_to_it) or original(session, claim, secret)


@plant.wrapping("act_with_a_token_of_an_earlier_claim", actions, "find_token")
def tokens_outlive_their_claim(original: Any, session: Any, claim: Any, secret: str) -> Any:
    """They are looked up by the dweller."""
    return token_where(session, secret, Claim.dweller_id == claim.dweller_id) or original(session, claim, secret)


def token_where(session: Any, secret: str, *conditions: Any) -> Any:
    """Return the token with this secret, if its claim meets the conditions."""
    of_claims = select(ContextToken).join(Claim, Claim.id == ContextToken.claim_id)
    return session.scalar(of_claims.where(ContextToken.token_sha256 == actions.hash_token(secret), *conditions))


@plant.mending("act_in_a_malformed_way", "/actions")
def deeds_are_mended(body: Any) -> Any:
    """A kind proxy makes a deed of anything, and a token."""
    said = body or {}
    token, deed = str(said.get("context_token") or "none"), str(said.get("deed", "")).replace("\x00", "")
    return {"context_token": token[:200], "deed": deed[:2000] if deed.strip() else "Nothing."}


# Bugs that say all by their names.

# That there is a claim was checked, not whose it is.
plant.bug(
    "read_the_context_of_a_dweller_one_does_not_hold",
    "anybody_may_look",
    plant.relaxed(actions, "own_claim", whoever_holds, of="read_context"),
)
# As long as nobody has settled it.
plant.bug(
    "read_the_context_after_the_lapse",
    "contexts_are_shown_after_the_lapse",
    plant.relaxed(actions, "own_claim", as_if_nothing_lapsed, of="read_context"),
)
# It was taken for mere reading.
plant.bug(
    "read_the_context_while_dormant",
    "the_dormant_may_look",
    plant.left_out(actions, "refuse_dormant", of="read_context"),
)
# They were awake when they got their tokens.
plant.bug("act_while_dormant", "the_dormant_may_act", plant.left_out(actions, "refuse_dormant", of="act"))
# That there is a claim was checked, not whose it is.
plant.bug(
    "act_through_a_dweller_one_does_not_hold",
    "whoever_has_the_token_may_act",
    plant.relaxed(actions, "own_claim", whoever_holds, of="act"),
)
# As long as nobody has settled it.
plant.bug(
    "act_after_the_lapse",
    "what_has_lapsed_may_still_be_acted_under",
    plant.relaxed(actions, "own_claim", as_if_nothing_lapsed, of="act"),
)
plant.bug(
    "act_with_a_spent_token",
    "tokens_may_be_spent_again",
    plant.lost("ALTER TABLE actions DROP CONSTRAINT uq_actions_context_token_id"),
    plant.left_out(actions, "refuse_spent"),
)


# Found by the races.


@plant.found_by_race("spend_one_token_at_once")
def tokens_are_looked_at_before_the_lock(patch: plant.Patch) -> None:
    """Two find it unspent, and spend it one after the other; the constraint that would have noticed was lost."""
    plant.execute_first(patch, "ALTER TABLE actions DROP CONSTRAINT uq_actions_context_token_id")

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

    plant.wrap(patch, actions, "act", act)
    plant.wrap(patch, actions, "find_token", find_token)
    patch.setattr(actions, "refuse_spent", refuse_spent)
