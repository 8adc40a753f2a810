"""deepsci.stories.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import claims
from deepsci.errors import ApiError
from deepsci.models import Agent, Dweller, Story
from deepsci.stories import service
from deepsci.stories.schemas import TellStory
from pgdst import SeededIds, SimulatedClock
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)

Register = Callable[[str], Agent]
HeldBy = Callable[[Agent], Dweller]
Tell = Callable[[Agent, Dweller], Story]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


def story_through(dweller_id: UUID) -> TellStory:
    """Return a story that nobody objects to, told through a dweller."""
    return TellStory(dweller_id=dweller_id, title="Low tide", text="The water left.")


def test_a_story_is_told_of_the_world_through_the_dweller(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, held_by: HeldBy
) -> None:
    """And nobody has reviewed it."""
    ada = register("ada")
    dweller = held_by(ada)
    clock.advance(timedelta(hours=1))
    story = service.tell(session, clock, ids, ada, dweller.world_id, story_through(dweller.id))
    assert (dweller.world_id, dweller.id, ada.id) == (story.world_id, story.dweller_id, story.author_id)
    assert ("Low tide", "The water left.", clock.now()) == (story.title, story.text, story.created_at)
    assert (0, 0, 0, 0, None) == (
        story.review_count,
        story.score_sum,
        story.recommendation_count,
        story.response_count,
        story.acclaimed_at,
    )
    assert story is service.get_story(session, story.id)


def test_who_does_not_hold_the_dweller_tells_nothing_through_it(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, held_by: HeldBy
) -> None:
    """Not the founder of its world, nor who held it before."""
    ada, bob = register("ada"), register("bob")
    dweller = held_by(ada)
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        service.tell(session, clock, ids, bob, dweller.world_id, story_through(dweller.id))
    claims.release(session, clock, ada, dweller.id)
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        service.tell(session, clock, ids, ada, dweller.world_id, story_through(dweller.id))


def test_a_holder_tells_until_the_claim_lapses(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, held_by: HeldBy
) -> None:
    """To the microsecond, settled or not."""
    ada = register("ada")
    dweller = held_by(ada)
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    service.tell(session, clock, ids, ada, dweller.world_id, story_through(dweller.id))
    clock.advance(timedelta(microseconds=1))
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        service.tell(session, clock, ids, ada, dweller.world_id, story_through(dweller.id))


def test_an_unknown_world_is_said_before_an_unknown_dweller(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, held_by: HeldBy
) -> None:
    """And that before whose it is; a dweller of another world is unknown in this one."""
    ada, bob = register("ada"), register("bob")
    here, elsewhere = held_by(ada), held_by(bob)
    with pytest.raises(ApiError, match=rf"^world_not_found.*{NOTHING}"):
        service.tell(session, clock, ids, ada, NOTHING, story_through(NOTHING))
    with pytest.raises(ApiError, match=rf"^dweller_not_found.*{NOTHING}"):
        service.tell(session, clock, ids, ada, here.world_id, story_through(NOTHING))
    for anyone in (ada, bob):
        with pytest.raises(ApiError, match=rf"^dweller_not_found.*{elsewhere.id}"):
            service.tell(session, clock, ids, anyone, here.world_id, story_through(elsewhere.id))


def test_a_claim_does_not_end_while_a_story_is_told(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    held_by: HeldBy,
    start_blocked: StartBlocked,
) -> None:
    """Who releases the dweller waits until the story is there."""
    ada = register("ada")
    dweller = held_by(ada)
    service.tell(session, clock, ids, ada, dweller.world_id, story_through(dweller.id))
    released = start_blocked(lambda own: claims.release(own, clock, ada, dweller.id))
    session.commit()
    assert released.result(timeout=10).id == dweller.id


def test_who_waits_for_a_claim_to_end_finds_it_ended(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    held_by: HeldBy,
    start_blocked: StartBlocked,
) -> None:
    """The claim is read after the lock was taken."""
    ada = register("ada")
    dweller = held_by(ada)
    claims.release(session, clock, ada, dweller.id)
    waiting = start_blocked(lambda own: service.tell(own, clock, ids, ada, dweller.world_id, story_through(dweller.id)))
    session.commit()
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        waiting.result(timeout=10)


def test_an_unknown_story_is_not_found(session: Session) -> None:
    """Whether it is read or locked."""
    with pytest.raises(ApiError, match=rf"^story_not_found.*{NOTHING}"):
        service.get_story(session, NOTHING)
    with pytest.raises(ApiError, match=rf"^story_not_found.*{NOTHING}"):
        service.lock_story(session, NOTHING)


def test_the_stories_of_a_world_are_listed_page_by_page(
    session: Session, clock: SimulatedClock, register: Register, held_by: HeldBy, tell: Tell
) -> None:
    """The newest first, ties by id, and none of another world."""
    ada, bob = register("ada"), register("bob")
    here, elsewhere = held_by(ada), held_by(bob)
    tied = sorted((tell(ada, here) for _ in range(3)), key=lambda story: story.id, reverse=True)
    tell(bob, elsewhere)
    clock.advance(timedelta(seconds=1))
    newest = tell(ada, here)
    first, cursor = service.newest_stories(session, here.world_id, "", 2)
    assert [newest, tied[0]] == first
    assert cursor is not None
    tell(ada, here)  # what is added meanwhile moves nothing from page to page
    second, end = service.newest_stories(session, here.world_id, cursor, 2)
    assert (tied[1:], None) == (second, end)


def test_a_list_of_nothing(session: Session, register: Register, held_by: HeldBy) -> None:
    """A world without stories has an empty list, no world has none; a malformed cursor is said first."""
    dweller = held_by(register("ada"))
    assert ([], None) == service.newest_stories(session, dweller.world_id, "", 10)
    with pytest.raises(ApiError, match=r"^world_not_found"):
        service.newest_stories(session, NOTHING, "", 10)
    with pytest.raises(ApiError, match=r"^malformed_request"):
        service.newest_stories(session, NOTHING, "!", 10)
