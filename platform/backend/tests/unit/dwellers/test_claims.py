"""deepsci.dwellers.claims."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import actions, claims, service
from deepsci.dwellers.schemas import Act
from deepsci.errors import ApiError
from deepsci.models import Action, Agent, Claim, Dweller, Ending, Inbox, Notification, NotificationKind
from deepsci.notifications.sending import notify
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.randomness import SeededIds
from sqlalchemy import Engine, select
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


@pytest.fixture
def claim(session: Session, clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], claims.Held]:
    """Lets an agent claim a dweller in the session's transaction, which goes on."""
    return lambda agent, dweller: claims.claim(session, clock, ids, agent, dweller.id)


@pytest.fixture
def claiming(clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], Callable[[Session], claims.Held]]:
    """Gives the action of a claim, for a transaction of its own."""
    return lambda agent, dweller: lambda own: claims.claim(own, clock, ids, agent, dweller.id)


Claiming = Callable[[Agent, Dweller], Callable[[Session], claims.Held]]
ClaimNow = Callable[[Agent, Dweller], claims.Held]


def told(session: Session) -> list[tuple[UUID, int, NotificationKind, UUID]]:
    """Return all that anybody was told."""
    rows = session.scalars(select(Notification).order_by(Notification.agent_id, Notification.number))
    return [(row.agent_id, row.number, row.kind, row.subject_id) for row in rows]


def holder(session: Session, clock: SimulatedClock, dweller: Dweller) -> UUID | None:
    """Return who holds a dweller."""
    present = claims.present_claim(session, dweller, clock.now())
    return present.agent_id if present is not None else None


def test_a_claim_begins_now(clock: SimulatedClock, register: Register, add: Add, claim: ClaimNow) -> None:
    """And counts as its own first action."""
    ada, ines = register("ada"), add("Ines")
    clock.advance(timedelta(hours=1))
    held = claim(ada, ines)
    assert ines is held.dweller
    assert (ada.id, ines.id, clock.now(), clock.now(), None, None) == (
        held.claim.agent_id,
        held.claim.dweller_id,
        held.claim.claimed_at,
        held.claim.last_action_at,
        held.claim.ended_at,
        held.claim.ending,
    )
    assert clock.now() + DAY == claims.lapses_at(held.claim)


def test_a_held_dweller_is_refused_to_everybody(register: Register, hold: Hold, claim: ClaimNow) -> None:
    """To its holder in other words."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    with pytest.raises(ApiError, match=r"^already_holding"):
        claim(ada, ines)
    with pytest.raises(ApiError, match=r"^dweller_held"):
        claim(bob, ines)


def test_an_agent_holds_five_dwellers(register: Register, add: Add, hold: Hold, claim: ClaimNow) -> None:
    """The sixth is refused, to that agent."""
    ada, bob, sixth = register("ada"), register("bob"), add("Sixth")
    for number in range(5):
        hold(ada, f"Dweller {number}")
    with pytest.raises(ApiError, match=r"^too_many_dwellers"):
        claim(ada, sixth)
    assert bob.id == claim(bob, sixth).claim.agent_id


@pytest.mark.parametrize(("whose", "refusal"), [("ada", "already_holding"), ("bob", "dweller_held")])
def test_who_holds_five_is_told_of_the_dweller_first(
    register: Register, hold: Hold, claim: ClaimNow, whose: str, refusal: str
) -> None:
    """The order of the refusals: whose it is, and only then how many."""
    agents = {name: register(name) for name in ("ada", "bob")}
    wanted = {"bob": hold(agents["bob"], "Bob's"), "ada": hold(agents["ada"], "Dweller 0")}[whose]
    for number in range(1, 5):
        hold(agents["ada"], f"Dweller {number}")
    with pytest.raises(ApiError, match=f"^{refusal}"):
        claim(agents["ada"], wanted)


def test_a_released_dweller_makes_room(
    session: Session, clock: SimulatedClock, register: Register, add: Add, hold: Hold, claim: ClaimNow
) -> None:
    """For the sixth."""
    ada, sixth = register("ada"), add("Sixth")
    held = [hold(ada, f"Dweller {number}") for number in range(5)]
    claims.release(session, clock, ada, held[0].id)
    assert ada.id == claim(ada, sixth).claim.agent_id


def test_a_lapsed_claim_makes_room(
    session: Session, register: Register, add: Add, hold: Hold, claim: ClaimNow, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """At the instant of the lapse, and it is settled on the way."""
    ada, sixth = register("ada"), add("Sixth")
    held = [hold(ada, "Dweller 0")]
    pass_time(INSTANT)
    held += [hold(ada, f"Dweller {number}") for number in range(1, 5)]
    pass_time(DAY - 2 * INSTANT)
    with pytest.raises(ApiError, match=r"^too_many_dwellers"):
        claim(ada, sixth)
    session.rollback()
    pass_time(INSTANT)
    assert ada.id == claim(ada, sixth).claim.agent_id
    assert [Ending.LAPSED, None, None, None, None] == [claim_of(dweller).ending for dweller in held]


def test_a_claim_lapses_a_day_after_the_last_action(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    act: Callable[..., Action],
    pass_time: PassTime,
    claim_of: ClaimOf,
) -> None:
    """Until the instant before, the dweller is held; from that instant on it is not, settled or not."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    pass_time(DAY - INSTANT)
    assert ada.id == holder(session, clock, ines)
    act(ada, ines)
    pass_time(DAY - INSTANT)
    assert ada.id == holder(session, clock, ines)
    pass_time(INSTANT)
    assert holder(session, clock, ines) is None
    assert claim_of(ines).ended_at is None


def test_a_context_does_not_prolong_the_claim(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    token_for: Callable[[Agent, Dweller], str],
    pass_time: PassTime,
) -> None:
    """To look is not to act."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    pass_time(DAY - INSTANT)
    token_for(ada, ines)
    pass_time(INSTANT)
    assert holder(session, clock, ines) is None


def test_a_lapsed_claim_is_settled_when_another_agent_claims(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
) -> None:
    """Refused the instant before; then the dweller changes hands and its holder is told, now."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    pass_time(DAY - INSTANT)
    with pytest.raises(ApiError, match=r"^dweller_held"):
        claim(bob, ines)
    session.rollback()
    lapsed = claim_of(ines)
    pass_time(timedelta(hours=1))
    assert bob.id == claim(bob, ines).claim.agent_id
    session.commit()
    assert (clock.now(), Ending.LAPSED) == (lapsed.ended_at, lapsed.ending)
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told(session)
    assert [clock.now()] == session.scalars(select(Notification.created_at)).all()


def test_who_let_a_claim_lapse_may_claim_again(
    session: Session, register: Register, hold: Hold, claim: ClaimNow, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """It is a new claim, and the agent is told of the old one."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    lapsed = claim_of(ines)
    pass_time(DAY)
    renewed = claim(ada, ines).claim
    session.commit()
    assert lapsed.id != renewed.id
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told(session)


def test_a_claim_settles_nothing_else(
    session: Session, register: Register, add: Add, hold: Hold, claim: ClaimNow, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """What another agent let lapse elsewhere stays open until somebody asks."""
    ada, bob = register("ada"), register("bob")
    elsewhere, ines = hold(ada, "Elsewhere"), add("Ines")
    pass_time(DAY)
    claim(bob, ines)
    session.commit()
    assert claim_of(elsewhere).ended_at is None
    assert [] == told(session)


def test_a_refused_claim_settles_nothing(
    session: Session,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
) -> None:
    """What came before the refusal is undone with it."""
    ada, bob = register("ada"), register("bob")
    lapsed = hold(ada, "Lapsed")
    pass_time(DAY)
    ines = hold(bob, "Ines")
    with pytest.raises(ApiError, match=r"^dweller_held"):
        claim(ada, ines)
    session.rollback()
    assert claim_of(lapsed).ended_at is None
    assert [] == told(session)


def test_a_release_ends_the_claim_now(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
) -> None:
    """Nobody is told, and the dweller is free at once."""
    ada, bob = register("ada"), register("bob")
    ines = hold(ada, "Ines")
    ended = claim_of(ines)
    pass_time(timedelta(hours=1))
    claims.release(session, clock, ada, ines.id)
    session.commit()
    assert (clock.now(), Ending.RELEASED) == (ended.ended_at, ended.ending)
    assert holder(session, clock, ines) is None
    assert [] == told(session)
    assert bob.id == claim(bob, ines).claim.agent_id


def test_only_the_holder_releases(
    session: Session, clock: SimulatedClock, register: Register, add: Add, hold: Hold
) -> None:
    """Neither another agent, nor anybody where nobody holds it."""
    ada, bob = register("ada"), register("bob")
    ines, free = hold(ada, "Ines"), add("Juri")
    for agent, dweller in ((bob, ines), (ada, free)):
        with pytest.raises(ApiError, match=r"^not_the_holder"):
            claims.release(session, clock, agent, dweller.id)


def test_a_lapsed_claim_cannot_be_released(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, pass_time: PassTime
) -> None:
    """The instant before, it can."""
    ada = register("ada")
    ines, juri = hold(ada, "Ines"), hold(ada, "Juri")
    pass_time(DAY - INSTANT)
    claims.release(session, clock, ada, ines.id)
    pass_time(INSTANT)
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        claims.release(session, clock, ada, juri.id)


def test_a_dormant_agent_may_release_but_not_claim(
    session: Session, clock: SimulatedClock, register: Register, add: Add, hold: Hold, claim: ClaimNow
) -> None:
    """The last heartbeat is what counts: a week without one, to the instant."""
    ada, juri = register("ada"), add("Juri")
    clock.advance(timedelta(days=7) - INSTANT)
    ines = hold(ada, "Ines")
    clock.advance(INSTANT)
    with pytest.raises(ApiError, match=r"^agent_dormant"):
        claim(ada, juri)
    assert ines is claims.release(session, clock, ada, ines.id)


def test_a_dormant_agent_does_not_learn_whether_a_dweller_is_there(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register
) -> None:
    """An agent that is not, does."""
    ada = register("ada")
    with pytest.raises(ApiError, match=r"^dweller_not_found"):
        claims.claim(session, clock, ids, ada, NOTHING)
    with pytest.raises(ApiError, match=r"^dweller_not_found"):
        claims.release(session, clock, ada, NOTHING)
    clock.advance(timedelta(days=7))
    with pytest.raises(ApiError, match=r"^agent_dormant"):
        claims.claim(session, clock, ids, ada, NOTHING)


def test_settling_ends_what_the_agent_let_lapse(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """To the instant, and nobody else's; the agent is told in the order in which it happened."""
    ada, bob = register("ada"), register("bob")
    bobs, first = hold(bob, "Bob's"), hold(ada, "First")
    pass_time(INSTANT)
    second = hold(ada, "Second")
    pass_time(INSTANT)
    present = hold(ada, "Present")
    pass_time(DAY - INSTANT)
    claims.settle_lapsed(session, clock.now(), agent_id=ada.id)
    session.commit()
    assert [
        (ada.id, 1, NotificationKind.CLAIM_LAPSED, claim_of(first).id),
        (ada.id, 2, NotificationKind.CLAIM_LAPSED, claim_of(second).id),
    ] == told(session)
    assert [None, Ending.LAPSED, Ending.LAPSED, None] == [
        claim_of(dweller).ending for dweller in (bobs, first, second, present)
    ]


def test_settling_twice_tells_once(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """And the first time is the one that stays."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    pass_time(DAY)
    settled_at = clock.now()
    claims.settle_lapsed(session, settled_at, dweller_id=ines.id)
    pass_time(DAY)
    claims.settle_lapsed(session, clock.now(), agent_id=ada.id, dweller_id=ines.id)
    assert settled_at == claim_of(ines).ended_at
    assert 1 == session.get_one(Inbox, ada.id).last_number


def test_settling_for_nobody_settles_nothing(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, pass_time: PassTime, claim_of: ClaimOf
) -> None:
    """Not everything."""
    ines = hold(register("ada"), "Ines")
    pass_time(DAY)
    claims.settle_lapsed(session, clock.now())
    assert claim_of(ines).ended_at is None


def test_agents_are_told_in_the_order_of_their_ids(
    session: Session, clock: SimulatedClock, register: Register, hold: Hold, pass_time: PassTime
) -> None:
    """The order in which inboxes are locked, whoever let a claim lapse first."""
    agents = [register(name) for name in ("ada", "bob", "cyd", "dee")]
    dwellers = [hold(agent, f"{agent.username}'s") for agent in agents]
    pass_time(DAY)
    lapsed = claims.lapsed_claims(session, [dweller.id for dweller in dwellers], clock.now())
    assert sorted(agent.id for agent in agents) == [claim.agent_id for claim in lapsed]


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
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, claim_of(ines).id)] == told(session)


def test_a_lapse_is_settled_once_while_another_agent_claims(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    pass_time: PassTime,
    claim_of: ClaimOf,
    claiming: Claiming,
    start_blocked: StartBlocked,
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
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told(session)


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
    assert [] == told(session)


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
    assert sorted(lapsed) == sorted(subject for _agent, _number, _kind, subject in told(session))


def test_claiming_does_not_hinder_others_from_notifying(
    engine: Engine, clock: SimulatedClock, register: Register, add: Add, claim: ClaimNow
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
