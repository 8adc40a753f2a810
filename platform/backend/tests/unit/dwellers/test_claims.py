"""deepsci.dwellers.claims."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import claims
from deepsci.errors import ApiError
from deepsci.models import Action, Agent, Claim, Dweller, Ending, Inbox, Notification, NotificationKind
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import select
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
ClaimNow = Callable[[Agent, Dweller], claims.Held]


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
    told: Told,
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
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told()
    assert [clock.now()] == session.scalars(select(Notification.created_at)).all()


def test_who_let_a_claim_lapse_may_claim_again(
    session: Session,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
    told: Told,
) -> None:
    """It is a new claim, and the agent is told of the old one."""
    ada = register("ada")
    ines = hold(ada, "Ines")
    lapsed = claim_of(ines)
    pass_time(DAY)
    renewed = claim(ada, ines).claim
    session.commit()
    assert lapsed.id != renewed.id
    assert [(ada.id, 1, NotificationKind.CLAIM_LAPSED, lapsed.id)] == told()


def test_a_claim_settles_nothing_else(
    session: Session,
    register: Register,
    add: Add,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
    told: Told,
) -> None:
    """What another agent let lapse elsewhere stays open until somebody asks."""
    ada, bob = register("ada"), register("bob")
    elsewhere, ines = hold(ada, "Elsewhere"), add("Ines")
    pass_time(DAY)
    claim(bob, ines)
    session.commit()
    assert claim_of(elsewhere).ended_at is None
    assert [] == told()


def test_a_refused_claim_settles_nothing(
    session: Session,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
    told: Told,
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
    assert [] == told()


def test_a_release_ends_the_claim_now(
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    claim: ClaimNow,
    pass_time: PassTime,
    claim_of: ClaimOf,
    told: Told,
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
    assert [] == told()
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
    session: Session,
    clock: SimulatedClock,
    register: Register,
    hold: Hold,
    pass_time: PassTime,
    claim_of: ClaimOf,
    told: Told,
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
    ] == told()
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
