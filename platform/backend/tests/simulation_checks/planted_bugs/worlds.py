"""Bugs around worlds."""

from typing import Any

from deepsci.models import ProposalStatus, World
from deepsci.proposals import service as proposals
from deepsci.worlds import service as worlds
from sqlalchemy import select, text

from simulation_checks.planted_bugs.planting import Patch, found_by, wrap

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
