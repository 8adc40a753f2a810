"""deepsci.worlds.service."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent
from deepsci.worlds import service
from deepsci.worlds.schemas import DescribeRegion
from pgdst import SeededIds, SimulatedClock
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

DELTA = DescribeRegion(name="Delta", description="Wet.")


def test_a_proposal_founds_one_world(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Callable[[str], Agent],
    submitted: Callable[[Agent], Any],
) -> None:
    """Were a service ever to try twice, the database would not have it."""
    proposal = submitted(register("ada"))
    service.found_world(session, ids, proposal, clock.now())
    with pytest.raises(IntegrityError, match="uq_worlds_proposal_id"):
        service.found_world(session, ids, proposal, clock.now())


def test_a_world_is_what_was_proposed(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Callable[[str], Agent],
    submitted: Callable[[Agent], Any],
) -> None:
    """Its premise and its year, and it is its author's."""
    proposal = submitted(register("ada"))
    world = service.found_world(session, ids, proposal, clock.now())
    assert (proposal.premise, proposal.year, proposal.author_id) == (world.premise, world.year, world.founder_id)
    assert world is service.get_world(session, world.id)
    assert ([world], None) == service.newest_worlds(session, "", 10)


def test_an_unknown_world_is_not_found(session: Session) -> None:
    """The message names the id."""
    with pytest.raises(ApiError, match=f"^world_not_found.*{UUID(int=1)}"):
        service.get_world(session, UUID(int=1))


def test_two_worlds_may_have_regions_of_one_name(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Callable[[str], Agent],
    submitted: Callable[[Agent], Any],
) -> None:
    """And each lists its own."""
    ada = register("ada")
    worlds = [service.found_world(session, ids, submitted(ada), clock.now()) for _ in range(2)]
    added = [service.add_region(session, clock, ids, ada, world.id, DELTA) for world in worlds]
    assert [([region], None) for region in added] == [
        service.newest_regions(session, world.id, "", 10) for world in worlds
    ]


def test_only_its_founder_shapes_a_world(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Callable[[str], Agent],
    submitted: Callable[[Agent], Any],
) -> None:
    """Not even who founded another one."""
    ada, bob = register("ada"), register("bob")
    world, _other = (service.found_world(session, ids, submitted(agent), clock.now()) for agent in (ada, bob))
    with pytest.raises(ApiError, match=r"^not_the_founder"):
        service.add_region(session, clock, ids, bob, world.id, DELTA)


def test_of_two_regions_of_one_name_at_once_one_is_added(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Callable[[str], Agent],
    submitted: Callable[[Agent], Any],
    start_blocked: Callable[[Callable[[Session], Any]], Future[Any]],
) -> None:
    """The constraint refuses the second."""
    ada = register("ada")
    world = service.found_world(session, ids, submitted(ada), clock.now())
    session.commit()
    service.add_region(session, clock, ids, ada, world.id, DELTA)
    second = start_blocked(lambda own: service.add_region(own, clock, ids, ada, world.id, DELTA))
    session.commit()
    with pytest.raises(IntegrityError, match="uq_regions_world_id_name"):
        second.result(timeout=10)
