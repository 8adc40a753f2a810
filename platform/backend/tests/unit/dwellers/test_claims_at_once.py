"""deepsci.dwellers.claims, in several transactions at once."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import actions, claims, service
from deepsci.dwellers.schemas import Act
from deepsci.errors import ApiError
from deepsci.models import Agent, Claim, Dweller, NotificationKind
from deepsci.notifications.sending import notify
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)
DAY = timedelta(hours=24)
INSTANT = timedelta(microseconds=1)

Register = Callable[[str], Agent]
Add = Callable[[str], Dweller]
Hold = Callable[[Agent, str], Dweller]
ClaimOf = Callable[[Dweller], Claim]
PassTime = Callable[..., None]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


Told = Callable[..., list[tuple[UUID, int, NotificationKind, UUID]]]
Claiming = Callable[[Agent, Dweller], Callable[[Session], claims.Held]]
ClaimNow = Callable[[Agent, Dweller], claims.Held]


def test_of_two_agents_that_claim_a_dweller_at_once_one_holds_it(
    session: Session, register: Register, add: Add, claim: ClaimNow, claiming: Claiming, start_blocked: StartBlocked
) -> None:
    """The second waits for the first."""
    ada, bob, ines = register("ada"), register("bob"), add("Ines")
    claim(ada, ines)
    second = start_blocked(claiming(bob, ines))
    session.commit()
    with pytest.raises(ApiError, match=r"^dweller_held"):
        second.result(timeout=10)


def test_an_agent_that_claims_a_dweller_twice_at_once_holds_it_once(
    session: Session, register: Register, add: Add, claim: ClaimNow, claiming: Claiming, start_blocked: StartBlocked
) -> None:
    """The second waits for the first, at the agent already."""
    ada, ines = register("ada"), add("Ines")
    claim(ada, ines)
    second = start_blocked(claiming(ada, ines))
    session.commit()
    with pytest.raises(ApiError, match=r"^already_holding"):
        second.result(timeout=10)


def test_two_claims_at_once_do_not_exceed_the_cap(
    session: Session,
    register: Register,
    add: Add,
    hold: Hold,
    claim: ClaimNow,
    claiming: Claiming,
    start_blocked: StartBlocked,
) -> None:
    """An agent's fifth and sixth, of different dwellers: the second waits for the first and counts it."""
    ada, fifth, sixth = register("ada"), add("Fifth"), add("Sixth")
    for number in range(4):
        hold(ada, f"Dweller {number}")
    claim(ada, fifth)
    second = start_blocked(claiming(ada, sixth))
    session.commit()
    with pytest.raises(ApiError, match=r"^too_many_dwellers"):
        second.result(timeout=10)


def test_an_agents_claims_wait_for_each_other_from_the_first_on(
    session: Session, register: Register, add: Add, claim: ClaimNow, claiming: Claiming, start_blocked: StartBlocked
) -> None:
    """Of different dwellers, where it holds none yet: otherwise six at once would each count none."""
    ada, first, second = register("ada"), add("First"), add("Second")
    claim(ada, first)
    waiting = start_blocked(claiming(ada, second))
    session.commit()
    assert ada.id == waiting.result(timeout=10).claim.agent_id


def test_a_dweller_is_claimed_while_it_is_released(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    claiming: Claiming,
    start_blocked: StartBlocked,
) -> None:
    """Once the release is certain."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    claims.release(session, clock, ada, ines.id)
    second = start_blocked(claiming(bob, ines))
    session.commit()
    assert bob.id == second.result(timeout=10).claim.agent_id


def test_a_dweller_whose_release_is_undone_stays_held(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    claiming: Claiming,
    start_blocked: StartBlocked,
) -> None:
    """A claim does not overtake it."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    claims.release(session, clock, ada, ines.id)
    second = start_blocked(claiming(bob, ines))
    session.rollback()
    with pytest.raises(ApiError, match=r"^dweller_held"):
        second.result(timeout=10)


def test_an_agents_release_and_claim_at_once_make_room(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    add: Add,
    hold: Hold,
    claiming: Claiming,
    start_blocked: StartBlocked,
) -> None:
    """The claim of another dweller waits for the release and does not count what is released."""
    ada, sixth = register("ada"), add("Sixth")
    held = [hold(ada, f"Dweller {number}") for number in range(5)]
    claims.release(session, clock, ada, held[2].id)
    second = start_blocked(claiming(ada, sixth))
    session.commit()
    assert ada.id == second.result(timeout=10).claim.agent_id


def test_releasing_twice_at_once_releases_once(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, start_blocked: StartBlocked
) -> None:
    """The second finds that it holds nothing any more."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    claims.release(session, clock, ada, ines.id)
    second = start_blocked(lambda own: claims.release(own, clock, ada, ines.id))
    session.commit()
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        second.result(timeout=10)


def test_two_that_settle_a_lapse_at_once_tell_once(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    pass_time: PassTime,
    claim_of: ClaimOf,
    start_blocked: StartBlocked,
    told: Told,
) -> None:
    """The second waits for the first, and finds it settled."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    pass_time(DAY)
    now = clock.now()
    claims.settle_lapsed(session, now, agent_id=ada.id)
    second = start_blocked(lambda own: claims.settle_lapsed(own, now, agent_id=ada.id))
    session.commit()
    second.result(timeout=10)
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, claim_of(ines).id)] == told()


def test_a_lapse_is_settled_once_while_another_agent_claims(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    pass_time: PassTime,
    claim_of: ClaimOf,
    claiming: Claiming,
    start_blocked: StartBlocked,
    told: Told,
) -> None:
    """The agent looks at its notifications, and another one claims: the claim succeeds and tells nothing more."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    lapsed = claim_of(ines)
    pass_time(DAY)
    claims.settle_lapsed(session, clock.now(), agent_id=ada.id)
    second = start_blocked(claiming(bob, ines))
    session.commit()
    assert bob.id == second.result(timeout=10).claim.agent_id
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told()


def test_a_claim_that_is_being_prolonged_is_not_settled(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    hold: Hold,
    token_for: Callable[[Agent, Dweller], str],
    pass_time: PassTime,
    claim_of: ClaimOf,
    start_blocked: StartBlocked,
    told: Told,
) -> None:
    """An action of the last instant, not yet committed: who settles waits for it and looks again."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    pass_time(DAY - INSTANT)
    body = Act(context_token=token_for(ada, ines), deed="Sails.")
    actions.act(session, clock, ids, ada, ines.id, body)
    clock.advance(INSTANT)
    now = clock.now()
    second = start_blocked(lambda own: claims.settle_lapsed(own, now, dweller_id=ines.id))
    session.commit()
    second.result(timeout=10)
    assert claim_of(ines).ended_at is None
    assert [] == told()


def test_a_claim_that_is_being_prolonged_counts(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    add: Add,
    hold: Hold,
    token_for: Callable[[Agent, Dweller], str],
    pass_time: PassTime,
    claiming: Claiming,
    start_blocked: StartBlocked,
) -> None:
    """The same action, while its agent claims a sixth dweller: the claim waits for it and counts it."""
    ada, sixth = register("ada"), add("Sixth")
    oldest = hold(ada, "Oldest")
    pass_time(INSTANT)
    for number in range(4):
        hold(ada, f"Dweller {number}")
    pass_time(DAY - 2 * INSTANT)
    body = Act(context_token=token_for(ada, oldest), deed="Sails.")
    actions.act(session, clock, ids, ada, oldest.id, body)
    clock.advance(INSTANT)
    second = start_blocked(claiming(ada, sixth))
    session.commit()
    with pytest.raises(ApiError, match=r"^too_many_dwellers"):
        second.result(timeout=10)


@pytest.mark.parametrize("first_waits", ["low", "high"])
@pytest.mark.parametrize("adas", ["low", "high"])
def test_two_agents_claim_whom_the_other_let_lapse(
    session: Session,
    engine: Engine,
    register: Register,
    add: Add,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
    claiming: Claiming,
    wait_until_blocked: Callable[[int], None],
    first_waits: str,
    adas: str,
    told: Told,
) -> None:
    """Both take both dwellers in the order of their ids, and so none waits for one that waits for it.

    A third transaction holds one of the two up, at which both claims come to a halt, or one behind the other.
    """
    ada, bob = register("ada"), register("bob")
    low, high = sorted((add("Ines"), add("Juri")), key=lambda dweller: dweller.id)
    of_ada, of_bob = (low, high) if adas == "low" else (high, low)
    claim(ada, of_ada), claim(bob, of_bob)
    session.commit()
    lapsed = [claim_of(of_ada).id, claim_of(of_bob).id]
    pass_time(DAY)
    service.lock_dweller(session, low.id if first_waits == "low" else high.id)

    def run(action: Callable[[Session], claims.Held]) -> claims.Held:
        with Session(engine, expire_on_commit=False) as own, own.begin():
            return action(own)

    with ThreadPoolExecutor() as threads:
        try:
            first = threads.submit(run, claiming(ada, of_bob))
            wait_until_blocked(1)
            second = threads.submit(run, claiming(bob, of_ada))
            wait_until_blocked(2)
        finally:
            session.commit()  # in any case, as the threads are waited for
        assert [ada.id, bob.id] == [waiting.result(timeout=10).claim.agent_id for waiting in (first, second)]
    assert sorted(lapsed) == sorted(subject for _agent, _number, _kind, subject in told())


def test_claiming_does_not_hinder_others_from_notifying(
    engine: Engine, clock: SimulatedClock, register: Register, add: Add, claim: ClaimNow, told: Told
) -> None:
    """The agent's lock is not one that a foreign key check waits for."""
    ada = register("ada")
    ines = claim(ada, add("Ines")).claim
    with Session(engine) as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        notify(other, ada.id, NotificationKind.STORY_REVIEWED, ines.id, clock.now())
        assert 1 == len(told(other))


def test_the_database_keeps_a_second_holder_out(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, hold: Hold
) -> None:
    """Were a service ever to let one in."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    session.add(claims.new_claim(ids, ines, bob, clock.now()))
    with pytest.raises(IntegrityError, match="uq_claims_dweller_id_open"):
        session.flush()
