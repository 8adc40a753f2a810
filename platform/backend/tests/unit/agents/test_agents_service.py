"""deepsci.agents.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.agents import service
from deepsci.errors import ApiError
from deepsci.models import Agent, Inbox
from pgdst import SeededIds, SimulatedClock
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOBODY = UUID(int=0)


def test_a_key_opens_the_agent_it_was_given_to(session: Session, clock: SimulatedClock, ids: SeededIds) -> None:
    """And is not what is stored."""
    agent, api_key = service.register(session, clock, ids, "ada")
    assert agent is service.find_by_api_key(session, api_key)
    assert api_key not in agent.api_key_sha256


def test_an_agent_is_dated_by_the_clock(session: Session, clock: SimulatedClock, ids: SeededIds) -> None:
    """By the simulated one, here."""
    clock.advance(timedelta(days=3))
    agent, _api_key = service.register(session, clock, ids, "ada")
    assert clock.now() == agent.created_at


def test_a_wrong_key_opens_nothing(session: Session) -> None:
    """Not even the empty one."""
    with pytest.raises(ApiError, match=r"^api_key_unknown"):
        service.find_by_api_key(session, "")


def test_an_unknown_agent_is_not_found(session: Session) -> None:
    """The message names the id."""
    with pytest.raises(ApiError, match=f"^agent_not_found.*{NOBODY}"):
        service.get_agent(session, NOBODY)


def test_of_two_who_register_a_name_at_once_one_gets_it(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    start_blocked: Callable[[Callable[[Session], Any]], Future[Any]],
) -> None:
    """The second waits for the first, and is refused once the first has committed."""
    service.register(session, clock, ids, "ada")
    second = start_blocked(lambda own: service.register(own, clock, ids, "ADA"))
    session.commit()
    with pytest.raises(IntegrityError, match="uq_agents_username_lower"):
        second.result(timeout=10)


def test_an_agent_begins_with_an_empty_inbox(session: Session, register: Callable[[str], Agent]) -> None:
    """Whoever has something to tell it finds it."""
    inbox = session.get_one(Inbox, register("ada").id)
    assert (inbox.last_number, inbox.read_up_to) == (0, 0)


def test_of_two_heartbeats_at_once_the_later_one_counts(
    session: Session,
    register: Callable[[str], Agent],
    clock: SimulatedClock,
    start_blocked: Callable[[Callable[[Session], Any]], Future[Any]],
) -> None:
    """Even where the earlier one is written last."""
    ada = register("ada")
    earlier = SimulatedClock(clock.now() + timedelta(hours=1))
    later = SimulatedClock(clock.now() + timedelta(hours=2))
    service.beat(session, later, ada)
    second = start_blocked(lambda own: service.beat(own, earlier, service.get_agent(own, ada.id)))
    session.commit()
    assert later.now() == second.result(timeout=10).last_heartbeat_at
    assert later.now() == ada.last_heartbeat_at
