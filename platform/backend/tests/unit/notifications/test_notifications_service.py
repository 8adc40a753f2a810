"""deepsci.notifications.service and .sending."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.agents.service import lock_agent
from deepsci.dwellers.claims import claim
from deepsci.dwellers.schemas import DescribeDweller
from deepsci.dwellers.service import add_dweller
from deepsci.errors import ApiError
from deepsci.models import Agent, Claim, Notification, NotificationKind, Proposal, Verdict
from deepsci.notifications import service
from deepsci.notifications.sending import notify
from deepsci.proposals import service as proposals
from deepsci.proposals.schemas import Validate
from deepsci.worlds.schemas import DescribeRegion
from deepsci.worlds.service import add_region, found_world
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

STRENGTHEN = Validate(verdict=Verdict.STRENGTHEN, critique="Vague.")

Register = Callable[[str], Agent]
Submitted = Callable[[Agent], Proposal]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]
Tell = Callable[..., None]


@pytest.fixture
def tell(clock: SimulatedClock) -> Tell:
    """Tells an agent something, in a session that the caller commits."""

    def tell(session: Session, agent: Agent, subject: int) -> None:
        notify(session, agent.id, NotificationKind.STORY_REVIEWED, UUID(int=subject), clock.now())

    return tell


def numbers(session: Session, agent: Agent) -> list[int]:
    """Return the numbers of an agent's notifications."""
    query = select(Notification.number).where(Notification.agent_id == agent.id).order_by(Notification.number)
    return list(session.scalars(query))


def test_each_agent_is_told_in_numbers_of_its_own(session: Session, register: Register, tell: Tell) -> None:
    """From one, without gaps."""
    ada, bob = register("ada"), register("bob")
    for subject, agent in enumerate((ada, bob, ada, ada, bob)):
        tell(session, agent, subject)
    assert ([1, 2, 3], [1, 2]) == (numbers(session, ada), numbers(session, bob))


def test_nothing_is_told_twice(session: Session, register: Register, tell: Tell) -> None:
    """Were a service ever to try, the database would not have it."""
    ada, bob = register("ada"), register("bob")
    tell(session, ada, 1)
    with pytest.raises(IntegrityError, match="uq_notifications_kind_subject_id"):
        tell(session, bob, 1)


def test_who_tells_an_agent_waits_until_the_one_before_has_committed(
    session: Session, register: Register, tell: Tell, start_blocked: StartBlocked
) -> None:
    """So that they are committed in the order of their numbers."""
    ada = register("ada")
    tell(session, ada, 1)
    second = start_blocked(lambda own: tell(own, ada, 2))
    session.commit()
    second.result(timeout=10)
    told = session.scalars(select(Notification).order_by(Notification.number))
    assert [(1, UUID(int=1)), (2, UUID(int=2))] == [(row.number, row.subject_id) for row in told]


def test_what_was_undone_leaves_no_gap(
    session: Session, register: Register, tell: Tell, start_blocked: StartBlocked
) -> None:
    """Whoever waited takes its number."""
    ada = register("ada")
    tell(session, ada, 1)
    second = start_blocked(lambda own: tell(own, ada, 2))
    session.rollback()
    second.result(timeout=10)
    assert [1] == numbers(session, ada)
    assert 1 == service.read_inbox(session, ada).last_number


def test_two_validations_at_once_are_told_without_a_gap(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    start_blocked: StartBlocked,
) -> None:
    """Of two proposals of one author, where they meet only at its inbox."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal, other = submitted(ada), submitted(ada)
    first = proposals.validate(session, clock, ids, bob, proposal.id, STRENGTHEN)
    waiting = start_blocked(lambda own: proposals.validate(own, clock, ids, cyd, other.id, STRENGTHEN))
    session.commit()
    second = waiting.result(timeout=10)
    told = session.scalars(select(Notification).order_by(Notification.number)).all()
    assert [(1, first.validation.id), (2, second.validation.id)] == [(row.number, row.subject_id) for row in told]


def test_who_is_told_something_is_not_hindered_from_drafting(
    session: Session, engine: Engine, register: Register, tell: Tell
) -> None:
    """The inbox is a row of its own, so nobody waits for the agent's."""
    ada = register("ada")
    tell(session, ada, 1)
    with Session(engine) as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        lock_agent(other, ada)


def test_notifications_are_read_page_by_page(
    session: Session, clock: SimulatedClock, register: Register, tell: Tell
) -> None:
    """The oldest first, one's own only."""
    ada, bob = register("ada"), register("bob")
    for subject in range(3):
        tell(session, ada, subject)
    tell(session, bob, 3)
    page = service.told(session, clock, ada, 0, 2)
    assert ([1, 2], 2) == ([row.number for row in page.notifications], page.next_after)
    page = service.told(session, clock, ada, 2, 2)
    assert ([3], None) == ([row.number for row in page.notifications], page.next_after)
    assert {ada.id} == {row.agent_id for row in page.notifications}
    assert (3, 0) == (page.inbox.last_number, page.inbox.read_up_to)


def test_what_is_told_while_one_looks_is_told_the_next_time(
    session: Session,
    engine: Engine,
    clock: SimulatedClock,
    register: Register,
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page never has more than the inbox it comes with."""
    ada = register("ada")
    read_inbox = service.read_inbox

    def and_then_be_told(own: Session, agent: Agent) -> Any:
        inbox = read_inbox(own, agent)
        with Session(engine) as other, other.begin():
            tell(other, ada, 1)
        return inbox

    with monkeypatch.context() as patch:
        patch.setattr(service, "read_inbox", and_then_be_told)
        page = service.told(session, clock, ada, 0, 10)
    assert ([], 0) == (page.notifications, page.inbox.last_number)
    page = service.told(session, clock, ada, 0, 10)
    assert ([1], 1) == ([row.number for row in page.notifications], page.inbox.last_number)


def test_reading_never_goes_back(session: Session, register: Register, tell: Tell) -> None:
    """Who says a lower number has read up to the higher one."""
    ada = register("ada")
    for subject in range(3):
        tell(session, ada, subject)
    assert [2, 2, 2, 3] == [service.mark_as_read(session, ada, up_to).read_up_to for up_to in (2, 1, 0, 3)]


def test_nobody_reads_what_was_not_sent(session: Session, register: Register, tell: Tell) -> None:
    """The last number is good, the next one is not, whatever others were sent; none at all is always read."""
    ada, bob = register("ada"), register("bob")
    tell(session, ada, 1)
    for subject in (2, 3):
        tell(session, bob, subject)
    with pytest.raises(ApiError, match=r"^notification_not_found"):
        service.mark_as_read(session, ada, 2)
    assert 1 == service.mark_as_read(session, ada, 1).read_up_to
    assert 0 == service.mark_as_read(session, register("cyd"), 0).read_up_to


def test_who_reads_waits_for_what_is_being_told(
    session: Session, register: Register, tell: Tell, start_blocked: StartBlocked
) -> None:
    """And finds it there."""
    ada = register("ada")
    tell(session, ada, 1)
    reading = start_blocked(lambda own: service.mark_as_read(own, ada, 1))
    session.commit()
    assert (1, 1) == (reading.result(timeout=10).read_up_to, reading.result().last_number)


def test_the_inbox_is_looked_at_anew_under_its_lock(
    session: Session, engine: Engine, register: Register, tell: Tell
) -> None:
    """What the session has seen of it before may be old."""
    ada = register("ada")
    assert 0 == service.read_inbox(session, ada).last_number
    with Session(engine) as other, other.begin():
        tell(other, ada, 1)
    assert 1 == service.mark_as_read(session, ada, 1).read_up_to


def test_of_two_readings_at_once_the_farther_one_stays(
    session: Session, register: Register, tell: Tell, start_blocked: StartBlocked
) -> None:
    """Even where it was the first."""
    ada = register("ada")
    for subject in range(3):
        tell(session, ada, subject)
    session.commit()
    service.mark_as_read(session, ada, 3)
    second = start_blocked(lambda own: service.mark_as_read(own, ada, 1))
    session.commit()
    assert 3 == second.result(timeout=10).read_up_to


@pytest.fixture
def claimed(session: Session, clock: SimulatedClock, ids: SeededIds, submitted: Submitted) -> Callable[[Agent], Claim]:
    """Makes a dweller that an agent claims, and commits."""

    def claimed(agent: Agent) -> Claim:
        world = found_world(session, ids, submitted(agent), clock.now())
        region = add_region(session, clock, ids, agent, world.id, DescribeRegion(name="Delta", description="Wet."))
        body = DescribeDweller(region_id=region.id, name="Ines", persona="A pilot.")
        dweller = add_dweller(session, clock, ids, agent, world.id, body)
        held = claim(session, clock, ids, agent, dweller.id).claim
        session.commit()
        return held

    return claimed


def test_a_lapse_is_told_at_the_first_look_after_it(
    session: Session, clock: SimulatedClock, register: Register, claimed: Callable[[Agent], Claim]
) -> None:
    """From the instant at which the claim lapses on, once, and to its agent."""
    ada, bob = register("ada"), register("bob")
    lapsing, _other = claimed(ada), claimed(bob)
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert [] == service.told(session, clock, ada, 0, 10).notifications
    clock.advance(timedelta(microseconds=1))
    for _ in range(2):
        page = service.told(session, clock, ada, 0, 10)
        assert [(1, NotificationKind.CLAIM_LAPSED, lapsing.id, clock.now())] == [
            (row.number, row.kind, row.subject_id, row.created_at) for row in page.notifications
        ]
    assert 1 == page.inbox.last_number
    assert [] == numbers(session, bob)


def test_saying_what_one_has_read_settles_nothing(
    session: Session, clock: SimulatedClock, register: Register, claimed: Callable[[Agent], Claim]
) -> None:
    """Nobody has read of a lapse that it was not told."""
    ada = register("ada")
    claimed(ada)
    clock.advance(timedelta(hours=24))
    with pytest.raises(ApiError, match=r"^notification_not_found"):
        service.mark_as_read(session, ada, 1)
    assert [] == numbers(session, ada)


def test_two_looks_at_once_tell_a_lapse_once(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    claimed: Callable[[Agent], Claim],
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first, and sees what it has told."""
    ada = register("ada")
    claimed(ada)
    clock.advance(timedelta(hours=24))
    service.told(session, clock, ada, 0, 10)
    second = start_blocked(lambda own: service.told(own, clock, ada, 0, 10))
    session.commit()
    assert [1] == [row.number for row in second.result(timeout=10).notifications]
    assert 1 == second.result().inbox.last_number
