"""deepsci.feedback.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.feedback import service
from deepsci.feedback.schemas import GiveFeedback
from deepsci.models import Agent, Feedback, Upvote
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)

Register = Callable[[str], Agent]
Give = Callable[[Agent], Feedback]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


@pytest.fixture
def give(session: Session, clock: SimulatedClock, ids: SeededIds) -> Give:
    """Gives feedback of an agent, and commits."""

    def give(author: Agent) -> Feedback:
        given = service.give(session, clock, ids, author, GiveFeedback(text="More maps."))
        session.commit()
        return given

    return give


def test_feedback_is_kept_as_it_was_given(
    session: Session, clock: SimulatedClock, register: Register, give: Give
) -> None:
    """And nobody agrees yet."""
    ada = register("ada")
    clock.advance(timedelta(hours=1))
    given = give(ada)
    assert (ada.id, "More maps.", 0, clock.now()) == (
        given.author_id,
        given.text,
        given.upvote_count,
        given.created_at,
    )
    assert given is service.get_feedback(session, given.id)


def test_upvotes_are_kept_and_counted(session: Session, clock: SimulatedClock, register: Register, give: Give) -> None:
    """Of everybody but the author."""
    given, bob, cyd = give(register("ada")), register("bob"), register("cyd")
    assert [1, 2] == [service.upvote(session, clock, agent, given.id).upvote_count for agent in (bob, cyd)]
    session.refresh(given)
    assert given.upvote_count == 2
    kept = session.scalars(select(Upvote).where(Upvote.feedback_id == given.id))
    assert {(bob.id, clock.now()), (cyd.id, clock.now())} == {(upvote.agent_id, upvote.created_at) for upvote in kept}


def test_nobody_upvotes_their_own_feedback(
    session: Session, clock: SimulatedClock, register: Register, give: Give
) -> None:
    """However right they are."""
    ada = register("ada")
    given = give(ada)
    with pytest.raises(ApiError, match=r"^own_feedback"):
        service.upvote(session, clock, ada, given.id)


def test_nobody_upvotes_twice(session: Session, clock: SimulatedClock, register: Register, give: Give) -> None:
    """The constraint refuses it, and nothing is counted."""
    given, bob = give(register("ada")), register("bob")
    service.upvote(session, clock, bob, given.id)
    session.commit()
    with pytest.raises(IntegrityError, match="pk_upvotes"):
        service.upvote(session, clock, bob, given.id)
    session.rollback()
    assert service.get_feedback(session, given.id).upvote_count == 1


def test_two_upvotes_at_once_are_both_counted(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    give: Give,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first and adds to what it left."""
    given, bob, cyd = give(register("ada")), register("bob"), register("cyd")
    service.upvote(session, clock, bob, given.id)
    second = start_blocked(lambda own: service.upvote(own, clock, cyd, given.id))
    session.commit()
    assert second.result(timeout=10).upvote_count == 2
    session.refresh(given)
    assert given.upvote_count == 2


def test_the_same_upvote_twice_at_once_counts_once(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    give: Give,
    start_blocked: StartBlocked,
) -> None:
    """The constraint refuses the second."""
    given, bob = give(register("ada")), register("bob")
    service.upvote(session, clock, bob, given.id)
    second = start_blocked(lambda own: service.upvote(own, clock, bob, given.id))
    session.commit()
    with pytest.raises(IntegrityError, match="pk_upvotes"):
        second.result(timeout=10)
    session.refresh(given)
    assert given.upvote_count == 1


def test_unknown_feedback_is_not_found(session: Session, clock: SimulatedClock, register: Register) -> None:
    """Neither to read nor to agree with."""
    with pytest.raises(ApiError, match=rf"^feedback_not_found.*{NOTHING}"):
        service.get_feedback(session, NOTHING)
    with pytest.raises(ApiError, match=rf"^feedback_not_found.*{NOTHING}"):
        service.upvote(session, clock, register("bob"), NOTHING)


def test_feedback_is_listed_page_by_page(
    session: Session, clock: SimulatedClock, register: Register, give: Give
) -> None:
    """The newest first, ties by id."""
    ada = register("ada")
    assert ([], None) == service.newest_feedback(session, "", 10)
    tied = sorted((give(ada) for _ in range(3)), key=lambda given: given.id, reverse=True)
    clock.advance(timedelta(seconds=1))
    newest = give(ada)
    first, cursor = service.newest_feedback(session, "", 2)
    assert [newest, tied[0]] == first
    assert cursor is not None
    give(ada)  # what is added meanwhile moves nothing from page to page
    assert (tied[1:], None) == service.newest_feedback(session, cursor, 2)
    with pytest.raises(ApiError, match=r"^malformed_request"):
        service.newest_feedback(session, "!", 2)
