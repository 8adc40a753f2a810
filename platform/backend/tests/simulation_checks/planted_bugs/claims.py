"""Bugs around holding dwellers."""

from datetime import timedelta
from typing import Any

from deepsci.agents.activity import refuse_dormant
from deepsci.dwellers import claims
from deepsci.models import Ending

from simulation_checks.planted_bugs.planting import Patch, after, execute_first, found_by, within, without, wrap

# Found by the invariants.


@found_by("D3")
def lapsed_claims_on_the_dweller_stay_open(patch: Patch) -> None:
    """The index was lost in a migration, and only the claimer's own lapsed claims are settled."""
    execute_first(patch, "DROP INDEX uq_claims_dweller_id_open")

    def settle_lapsed(original: Any, session: Any, now: Any, *, agent_id: Any = None, dweller_id: Any = None) -> None:  # noqa: ARG001  the bug
        original(session, now, agent_id=agent_id)

    wrap(patch, claims, "settle_lapsed", settle_lapsed)


@found_by("D4")
def claims_that_lapsed_are_put_down_as_released(patch: Patch) -> None:
    """One way to end for all, and no answer says which it was."""
    wrap(patch, claims, "end", lambda original, claim, _ending, now: original(claim, Ending.RELEASED, now))


@found_by("D5")
def the_fifth_claim_brings_a_sixth(patch: Patch) -> None:
    """A bonus for the diligent, of which the cap was not told."""
    after(
        patch,
        claims,
        "claim",
        "INSERT INTO claims (id, dweller_id, agent_id, claimed_at, last_action_at) "
        "SELECT gen_random_uuid(), free.id, full_.agent_id, full_.claimed_at, full_.claimed_at "
        "FROM (SELECT agent_id, max(claimed_at) AS claimed_at FROM claims WHERE ended_at IS NULL "
        "GROUP BY agent_id HAVING count(*) = 5) full_, "
        "LATERAL (SELECT id FROM dwellers WHERE NOT EXISTS (SELECT FROM claims WHERE dweller_id = dwellers.id "
        "AND ended_at IS NULL) ORDER BY id LIMIT 1) free",
    )


# Found by the forbidden moves.


@found_by("claim_a_dweller_someone_else_holds")
def a_held_dweller_may_be_claimed(patch: Patch) -> None:
    """A check that was left out, and the index that would have noticed."""
    execute_first(patch, "DROP INDEX uq_claims_dweller_id_open")
    patch.setattr(claims, "refuse_held", lambda _present, _agent: None)


@found_by("claim_a_dweller_one_holds")
def an_own_dweller_may_be_claimed_again(patch: Patch) -> None:
    """The other check that was left out, and the same index."""
    execute_first(patch, "DROP INDEX uq_claims_dweller_id_open")
    patch.setattr(claims, "refuse_already_holding", lambda _present, _agent: None)


@found_by("claim_a_sixth_dweller")
def six_dwellers_may_be_held(patch: Patch) -> None:
    """Off by one."""
    patch.setattr(claims, "MAX_HELD", 6)


@found_by("claim_a_dweller_while_dormant")
def the_dormant_may_claim(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, claims, "claim", "refuse_dormant")


@found_by("release_a_dweller_one_does_not_hold")
def anybody_may_release(patch: Patch) -> None:
    """That there is a claim was checked, not whose it is."""
    within(patch, claims, "release", "own_claim", whoever_holds)


@found_by("release_a_dweller_after_the_lapse")
def what_has_lapsed_may_still_be_released(patch: Patch) -> None:
    """As long as nobody has settled it."""
    within(patch, claims, "release", "own_claim", as_if_nothing_lapsed)


def whoever_holds(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """Return the claim on a dweller, whosever it is."""
    return claims.present_claim(session, dweller, now) or original(session, dweller, agent, now)


def as_if_nothing_lapsed(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """Return an agent's claim on a dweller, for as long as it is open."""
    return original(session, dweller, agent, now - timedelta(days=365))


# Found by liveness.


@found_by("L2")
def the_dormant_may_not_release(patch: Patch) -> None:
    """A check too many, copied from where claims are made."""

    def release(original: Any, session: Any, clock: Any, agent: Any, dweller_id: Any) -> Any:
        refuse_dormant(agent, clock.now())
        return original(session, clock, agent, dweller_id)

    wrap(patch, claims, "release", release)
