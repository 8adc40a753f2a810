"""Bugs around those who live in the worlds."""

from typing import Any

from deepsci.dwellers import actions, claims
from deepsci.dwellers import service as dwellers
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Dweller, Region, World
from sqlalchemy import select

from simulation_checks.planted_bugs.planting import Patch, after, execute_first, found_by, tolerate, wrap

# Found by the invariants.


@found_by("D1")
def names_are_trimmed_after_the_answer_was_made(patch: Patch) -> None:
    """The answer shows the name as chosen, the table keeps another."""
    after(patch, dwellers, "add_dweller", r"UPDATE dwellers SET name = btrim(name, E' \n')")


@found_by("D2")
def a_retried_dweller_is_there_twice(patch: Patch) -> None:
    """The constraint was lost in a migration, and the retry did not look."""
    execute_first(patch, "ALTER TABLE dwellers DROP CONSTRAINT uq_dwellers_world_id_name")
    after(
        patch,
        dwellers,
        "add_dweller",
        "INSERT INTO dwellers SELECT gen_random_uuid(), world_id, region_id, name, persona, action_count, created_at "
        "FROM dwellers ORDER BY created_at DESC, id LIMIT 1",
    )


# Found by the forbidden moves.


@found_by("add_a_dweller_to_somebody_elses_world")
def anybody_may_populate_a_world(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(dwellers, "refuse_unless_founder", lambda _world, _agent: None)


@found_by("add_a_dweller_in_a_region_of_another_world")
def regions_are_looked_up_in_all_worlds(patch: Patch) -> None:
    """By their id alone; the foreign key that would notice was lost."""
    execute_first(patch, "ALTER TABLE dwellers DROP CONSTRAINT fk_dwellers_world_id_region_id_regions")

    def get_region(original: Any, session: Any, world_id: Any, region_id: Any) -> Any:
        return session.get(Region, region_id) or original(session, world_id, region_id)

    wrap(patch, dwellers, "get_region", get_region)


@found_by("add_a_dweller_in_an_unknown_region")
def an_unknown_region_is_the_first_one(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_region(original: Any, session: Any, world_id: Any, region_id: Any) -> Any:
        if session.get(Region, region_id) is None:
            regions = select(Region.id).where(Region.world_id == world_id).order_by(Region.created_at, Region.id)
            region_id = session.scalars(regions).first() or region_id
        return original(session, world_id, region_id)

    wrap(patch, dwellers, "get_region", get_region)


@found_by("list_or_add_dwellers_of_an_unknown_world")
def dwellers_are_found_by_their_worlds_proposal_too(patch: Patch) -> None:
    """A lookup that wanted to be helpful."""

    def get_world(original: Any, session: Any, world_id: Any) -> Any:
        return session.scalar(select(World).where(World.proposal_id == world_id)) or original(session, world_id)

    wrap(patch, dwellers, "get_world", get_world)


@found_by("add_a_dweller_under_a_taken_name")
def the_constraint_on_names_was_lost(patch: Patch) -> None:
    """Nothing but the constraint stands between a world and two of a name."""
    execute_first(patch, "ALTER TABLE dwellers DROP CONSTRAINT uq_dwellers_world_id_name")


@found_by("add_a_malformed_dweller")
def descriptions_are_shortened(patch: Patch) -> None:
    """A kind proxy cuts what is too long, and takes out what the platform does not know."""

    def shorten(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        known = {key: body[key] for key in ("region_id", "name", "persona") if key in body}
        lengths = {"name": 100, "persona": 2000}
        return {key: text[: lengths.get(key)] if isinstance(text, str) else text for key, text in known.items()}

    tolerate(patch, "/dwellers", shorten)


@found_by("ask_something_of_an_unknown_dweller")
def who_is_not_there_is_not_held_by_you(patch: Patch) -> None:
    """An unknown dweller is answered like one that another agent holds."""

    def lock_dweller(original: Any, session: Any, dweller_id: Any) -> Any:
        if session.get(Dweller, dweller_id) is None:
            raise ApiError(ErrorCode.NOT_THE_HOLDER, "You do not hold this dweller. Claim it first.")
        return original(session, dweller_id)

    for service in (claims, actions):
        wrap(patch, service, "lock_dweller", lock_dweller)
