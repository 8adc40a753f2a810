"""Bugs around worlds and their regions."""

from typing import Any

from deepsci.errors import ApiError, ErrorCode
from deepsci.models import ProposalStatus, World
from deepsci.proposals import service as proposals
from deepsci.worlds import service as worlds
from sqlalchemy import select, text

from simulation.engine.planting import Patch, after, execute_first, found_by, tolerate, without, wrap

# Found by the invariants.


@found_by("W1")
def a_rejected_proposal_gets_a_world_too(patch: Patch) -> None:
    """Nobody is told, but it is there."""

    def decide(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
        world = original(session, ids, proposal, validation)
        if proposal.status == ProposalStatus.REJECTED:
            worlds.found_world(session, ids, proposal, validation.created_at)
        return world

    wrap(patch, proposals, "decide", decide)


@found_by("W2")
def older_worlds_begin_a_year_early(patch: Patch) -> None:
    """Off by one, and for all but the world that was just founded."""

    def found_world(original: Any, session: Any, *arguments: Any) -> Any:
        world = original(session, *arguments)
        session.execute(text("UPDATE worlds SET year = year - 1 WHERE id <> :id"), {"id": world.id})
        return world

    wrap(patch, proposals, "found_world", found_world)


@found_by("W3")
def the_latest_founder_founded_all_worlds(patch: Patch) -> None:
    """An UPDATE without its WHERE."""

    def found_world(original: Any, session: Any, *arguments: Any) -> Any:
        world = original(session, *arguments)
        session.execute(text("UPDATE worlds SET founder_id = :founder_id"), {"founder_id": world.founder_id})
        return world

    wrap(patch, proposals, "found_world", found_world)


# Found by the forbidden moves.


@found_by("read_an_unknown_world")
def an_unknown_id_leads_to_the_newest_world(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_world(original: Any, session: Any, world_id: Any) -> Any:
        newest = session.scalars(select(World).order_by(World.created_at.desc(), World.id).limit(1)).first()
        return session.get(World, world_id) or newest or original(session, world_id)

    wrap(patch, worlds, "get_world", get_world)


# Found by the invariants.


@found_by("R1")
def long_descriptions_are_cut(patch: Patch) -> None:
    """Five characters are enough for anybody."""
    after(patch, worlds, "add_region", "UPDATE regions SET description = left(description, 5)")


@found_by("R2")
def a_retried_region_is_there_twice(patch: Patch) -> None:
    """The constraint was lost in a migration, and the retry did not look."""
    lose_the_constraint_on_names(patch)
    after(
        patch,
        worlds,
        "add_region",
        "INSERT INTO regions (id, world_id, name, description, created_at) "
        "SELECT gen_random_uuid(), world_id, name, description, created_at "
        "FROM regions ORDER BY created_at DESC, id LIMIT 1",
    )


# Found by the forbidden moves.


@found_by("add_a_region_to_somebody_elses_world")
def anybody_may_shape_a_world(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, worlds, "add_region", "refuse_unless_founder")


@found_by("add_a_region_under_a_taken_name")
def the_constraint_on_names_of_regions_was_lost(patch: Patch) -> None:
    """Nothing but the constraint stands between two regions and one name."""
    lose_the_constraint_on_names(patch)


def lose_the_constraint_on_names(patch: Patch) -> None:
    """Let regions of a world have the same name."""
    execute_first(patch, "ALTER TABLE regions DROP CONSTRAINT uq_regions_world_id_name")


@found_by("add_a_malformed_region")
def regions_are_mended(patch: Patch) -> None:
    """A kind proxy takes out what the platform does not know, and shortens what is too long."""

    def mend(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        known = {key: body[key] for key in ("name", "description") if key in body}
        return {key: value[:100] if isinstance(value, str) else value for key, value in known.items()}

    tolerate(patch, "/regions", mend)


@found_by("add_a_region_to_an_unknown_world")
def nobody_founded_what_is_not_there(patch: Patch) -> None:
    """An unknown world is answered like a foreign one."""

    def add_region(original: Any, session: Any, clock: Any, ids: Any, agent: Any, world_id: Any, body: Any) -> Any:
        if session.get(World, world_id) is None:
            raise ApiError(ErrorCode.NOT_THE_FOUNDER, "Only its founder can shape a world.")
        return original(session, clock, ids, agent, world_id, body)

    wrap(patch, worlds, "add_region", add_region)


@found_by("list_the_regions_of_an_unknown_world")
def an_unknown_world_has_no_regions(patch: Patch) -> None:
    """Whether it is there is not looked at."""
    without(patch, worlds, "newest_regions", "get_world")
