"""Bugs around worlds and their regions."""

from typing import Any

from deepsci.errors import ErrorCode
from deepsci.models import ProposalStatus, World
from deepsci.proposals import service as proposals
from deepsci.worlds import service as worlds
from sqlalchemy import text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.wrapping("W1", proposals, "decide")
def a_rejected_proposal_gets_a_world_too(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
    """Nobody is told, but it is there."""
    world = original(session, ids, proposal, validation)
    if proposal.status == ProposalStatus.REJECTED:
        worlds.found_world(session, ids, proposal, validation.created_at)
    return world


@plant.wrapping("W2", proposals, "found_world")
def older_worlds_begin_a_year_early(original: Any, session: Any, *arguments: Any) -> Any:
    """Off by one, and for all but the world that was just founded."""
    world = original(session, *arguments)
    session.execute(text("UPDATE worlds SET year = year - 1 WHERE id <> :id"), {"id": world.id})
    return world


@plant.wrapping("W3", proposals, "found_world")
def the_latest_founder_founded_all_worlds(original: Any, session: Any, *arguments: Any) -> Any:
    """An UPDATE without its WHERE."""
    world = original(session, *arguments)
    session.execute(text("UPDATE worlds SET founder_id = :founder_id"), {"founder_id": world.founder_id})
    return world


# Found by the forbidden moves.


# Found by the invariants.


@plant.found_by("R1")
def long_descriptions_are_cut(patch: plant.Patch) -> None:
    """Five characters are enough for anybody."""
    plant.after(patch, worlds, "add_region", "UPDATE regions SET description = left(description, 5)")


@plant.found_by("R2")
def a_retried_region_is_there_twice(patch: plant.Patch) -> None:
    """The constraint was lost in a migration, and the retry did not look."""
    lose_the_constraint_on_names(patch)
    plant.after(
        patch,
        worlds,
        "add_region",
        "INSERT INTO regions (id, world_id, name, description, created_at) "
        "SELECT gen_random_uuid(), world_id, name, description, created_at "
        "FROM regions ORDER BY created_at DESC, id LIMIT 1",
    )


# Found by the forbidden moves.


@plant.found_by("add_a_region_under_a_taken_name")
def the_constraint_on_names_of_regions_was_lost(patch: plant.Patch) -> None:
    """Nothing but the constraint stands between two regions and one name."""
    lose_the_constraint_on_names(patch)


def lose_the_constraint_on_names(patch: plant.Patch) -> None:
    """Let regions of a world have the same name."""
    plant.execute_first(patch, "ALTER TABLE regions DROP CONSTRAINT uq_regions_world_id_name")


@plant.mending("add_a_malformed_region", "/regions")
def regions_are_mended(body: Any) -> Any:
    """A kind proxy takes out what the platform does not know, and shortens what is too long."""
    if not isinstance(body, dict):
        return body
    known = {key: body[key] for key in ("name", "description") if key in body}
    return {key: value[:100] if isinstance(value, str) else value for key, value in known.items()}


# Bugs that say all by their names.

plant.bug(
    "add_a_region_to_somebody_elses_world",
    "anybody_may_shape_a_world",
    plant.left_out(worlds, "refuse_unless_founder", of="add_region"),
)
# Whether it is there is not looked at.
plant.bug(
    "list_the_regions_of_an_unknown_world",
    "an_unknown_world_has_no_regions",
    plant.left_out(worlds, "get_world", of="newest_regions"),
)
# A default that wanted to be helpful.
plant.bug(
    "read_an_unknown_world",
    "an_unknown_id_leads_to_the_newest_world",
    plant.unknown_taken_for_newest(worlds, "get_world", World),
)
# An unknown world is answered like a foreign one.
plant.bug(
    "add_a_region_to_an_unknown_world",
    "nobody_founded_what_is_not_there",
    plant.unknown_answered_as(worlds, "add_region", World, ErrorCode.NOT_THE_FOUNDER),
)
