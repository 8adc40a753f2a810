"""deepsci.worlds.service."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent
from deepsci.worlds import service
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.randomness import SeededIds
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session


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
    """Its premise and its year."""
    proposal = submitted(register("ada"))
    world = service.found_world(session, ids, proposal, clock.now())
    assert (proposal.premise, proposal.year) == (world.premise, world.year)
    assert world is service.get_world(session, world.id)
    assert [world] == service.newest_worlds(session, 10)


def test_an_unknown_world_is_not_found(session: Session) -> None:
    """The message names the id."""
    with pytest.raises(ApiError, match=f"^world_not_found.*{UUID(int=1)}"):
        service.get_world(session, UUID(int=1))
