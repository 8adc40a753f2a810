"""Bugs around dwellers and around holding them."""

from datetime import timedelta
from typing import Any

from deepsci.agents.activity import refuse_dormant
from deepsci.dwellers import actions, claims
from deepsci.dwellers import service as dwellers
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Claim, Dweller, Ending, NotificationKind, Region, World
from deepsci.notifications import service as notifications
from deepsci.notifications.sending import notify
from sqlalchemy import or_, select

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("D1")
def names_are_trimmed_after_the_answer_was_made(patch: plant.Patch) -> None:
    """The answer shows the name as chosen, the table keeps another."""
    plant.after(patch, dwellers, "add_dweller", r"UPDATE dwellers SET name = btrim(name, E' \n')")


@plant.followed("D2", dwellers, "add_dweller", lost="ALTER TABLE dwellers DROP CONSTRAINT uq_dwellers_world_id_name")
def a_retried_dweller_is_there_twice() -> str:
    """The constraint was lost in a migration, and the retry did not look."""
    return (
        "INSERT INTO dwellers SELECT gen_random_uuid(), world_id, region_id, name, persona, action_count, created_at "
        "FROM dwellers ORDER BY created_at DESC, id LIMIT 1"
    )


# Found by the forbidden moves.


@plant.wrapping(
    "add_a_dweller_in_a_region_of_another_world",
    dwellers,
    "get_region",
    lost="ALTER TABLE dwellers DROP CONSTRAINT fk_dwellers_world_id_region_id_regions",
)
def regions_are_looked_up_in_all_worlds(original: Any, session: Any, world_id: Any, region_id: Any) -> Any:
    """By their id alone; the foreign key that would notice was lost."""
    return session.get(Region, region_id) or original(session, world_id, region_id)


@plant.wrapping("add_a_dweller_in_an_unknown_region", dwellers, "get_region")
def an_unknown_region_is_the_first_one(original: Any, session: Any, world_id: Any, region_id: Any) -> Any:
    """A default that wanted to be helpful."""
    if session.get(Region, region_id) is None:
        regions = select(Region.id).where(Region.world_id == world_id).order_by(Region.created_at, Region.id)
        region_id = session.scalars(regions).first() or region_id
    return original(session, world_id, region_id)


@plant.wrapping("list_or_add_dwellers_of_an_unknown_world", dwellers, "get_world")
def dwellers_are_found_by_their_worlds_proposal_too(original: Any, session: Any, world_id: Any) -> Any:
    """A lookup that wanted to be helpful."""
    return session.scalar(select(World).where(World.proposal_id == world_id)) or original(session, world_id)


@plant.mending("add_a_malformed_dweller", "/dwellers")
def descriptions_are_shortened(body: Any) -> Any:
    """A kind proxy cuts what is too long, and takes out what the platform does not know."""
    if not isinstance(body, dict):
        return body
    known = {key: body[key] for key in ("region_id", "name", "persona") if key in body}
    lengths = {"name": 100, "persona": 2000}
    return {key: text[: lengths.get(key)] if isinstance(text, str) else text for key, text in known.items()}


@plant.found_by("ask_something_of_an_unknown_dweller")
def who_is_not_there_is_not_held_by_you(patch: plant.Patch) -> None:
    """An unknown dweller is answered like one that another agent holds."""

    def lock_dweller(original: Any, session: Any, dweller_id: Any) -> Any:
        if session.get(Dweller, dweller_id) is None:
            raise ApiError(ErrorCode.NOT_THE_HOLDER, "You do not hold this dweller. Claim it first.")
        return original(session, dweller_id)

    for service in (claims, actions):
        plant.wrap(patch, service, "lock_dweller", lock_dweller)


# Found by the invariants.


@plant.wrapping("D3", claims, "settle_lapsed", lost="DROP INDEX uq_claims_dweller_id_open")
def lapsed_claims_on_the_dweller_stay_open(
    original: Any, session: Any, now: Any, *, agent_id: Any = None, **_on: Any
) -> None:
    """The index was lost in a migration, and only the claimer's own lapsed claims are settled."""
    original(session, now, agent_id=agent_id)


@plant.found_by("D4")
def claims_that_lapsed_are_put_down_as_released(patch: plant.Patch) -> None:
    """One way to end for all, and no answer says which it was."""
    plant.wrap(patch, claims, "end", lambda original, claim, _ending, now: original(claim, Ending.RELEASED, now))


@plant.followed("D5", claims, "claim")
def the_fifth_claim_brings_a_sixth() -> str:
    """A bonus for the diligent, of which the cap was not told."""
    return (
        "INSERT INTO claims (id, dweller_id, agent_id, claimed_at, last_action_at) "
        "SELECT gen_random_uuid(), free.id, full_.agent_id, full_.claimed_at, full_.claimed_at "
        "FROM (SELECT agent_id, max(claimed_at) AS claimed_at FROM claims WHERE ended_at IS NULL "
        "GROUP BY agent_id HAVING count(*) = 5) full_, "
        "LATERAL (SELECT id FROM dwellers WHERE NOT EXISTS (SELECT FROM claims WHERE dweller_id = dwellers.id "
        "AND ended_at IS NULL) ORDER BY id LIMIT 1) free"
    )


# Found by the forbidden moves.


def whoever_holds(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """Return the claim on a dweller, of any agent."""
    return claims.present_claim(session, dweller, now) or original(session, dweller, agent, now)


def as_if_nothing_lapsed(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """Return an agent's claim on a dweller, for as long as it is open."""
    return original(session, dweller, agent, now - timedelta(days=365))


# Found by liveness.


@plant.wrapping("L2", claims, "release")
def the_dormant_may_not_release(original: Any, session: Any, clock: Any, agent: Any, dweller_id: Any) -> Any:
    """A check too many, copied from where claims are made."""
    refuse_dormant(agent, clock.now())
    return original(session, clock, agent, dweller_id)


# Bugs that say all by their names.

plant.bug(
    "add_a_dweller_to_somebody_elses_world",
    "anybody_may_populate_a_world",
    plant.left_out(dwellers, "refuse_unless_founder"),
)
# Nothing but the constraint stands between a world and two of a name.
plant.bug(
    "add_a_dweller_under_a_taken_name",
    "the_constraint_on_names_was_lost",
    plant.lost("ALTER TABLE dwellers DROP CONSTRAINT uq_dwellers_world_id_name"),
)
plant.bug(
    "claim_a_dweller_someone_else_holds",
    "a_held_dweller_may_be_claimed",
    plant.lost("DROP INDEX uq_claims_dweller_id_open"),
    plant.left_out(claims, "refuse_held"),
)
plant.bug(
    "claim_a_dweller_one_holds",
    "an_own_dweller_may_be_claimed_again",
    plant.lost("DROP INDEX uq_claims_dweller_id_open"),
    plant.left_out(claims, "refuse_already_holding"),
)
# Off by one.
plant.bug("claim_a_sixth_dweller", "six_dwellers_may_be_held", plant.replaced(claims, "MAX_HELD", 6))
plant.bug(
    "claim_a_dweller_while_dormant", "the_dormant_may_claim", plant.left_out(claims, "refuse_dormant", of="claim")
)
# That there is a claim was checked, not whose it is.
plant.bug(
    "release_a_dweller_one_does_not_hold",
    "anybody_may_release",
    plant.relaxed(claims, "own_claim", whoever_holds, of="release"),
)
# As long as nobody has settled it.
plant.bug(
    "release_a_dweller_after_the_lapse",
    "what_has_lapsed_may_still_be_released",
    plant.relaxed(claims, "own_claim", as_if_nothing_lapsed, of="release"),
)


# Found by the races.


@plant.found_by_race("claim_one_dweller_at_once")
@plant.found_by_race("claim_a_dweller_while_it_is_released")
@plant.found_by_race("act_while_the_dweller_is_released")
def dwellers_are_not_locked(patch: plant.Patch) -> None:
    """The index and the constraints still hold, and the second request fails."""

    def lock_dwellers(_original: Any, session: Any, dweller_ids: Any) -> Any:
        query = select(Dweller).where(Dweller.id.in_(sorted(dweller_ids)))
        return {dweller.id: dweller for dweller in session.scalars(query)}

    plant.wrap(patch, dwellers, "lock_dwellers", lock_dwellers)
    plant.wrap(patch, claims, "lock_dwellers", lock_dwellers)


@plant.found_by_race("claim_one_dweller_at_once")
def dwellers_are_not_locked_and_the_index_on_open_claims_was_lost(patch: plant.Patch) -> None:
    """Both hold it."""
    plant.execute_first(patch, "DROP INDEX uq_claims_dweller_id_open")
    dwellers_are_not_locked(patch)


@plant.found_by_race("claim_beyond_the_cap_at_once")
def held_dwellers_are_counted_before_the_lock(patch: plant.Patch) -> None:
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

    plant.wrap(patch, claims, "claim", claim)
    plant.wrap(patch, claims, "lock_agent", lock_agent)
    patch.setattr(claims, "refuse_above_cap", refuse_above_cap)


@plant.found_by_race("claim_what_has_lapsed_at_once")
def lapsed_claims_are_looked_up_before_the_lock(patch: plant.Patch) -> None:
    """The second request settles them again, and would tell of them again."""

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
