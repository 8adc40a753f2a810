"""deepsci.dwellers.actions."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import actions, claims, service
from deepsci.dwellers.schemas import Act
from deepsci.errors import ApiError
from deepsci.models import Action, Agent, Claim, ContextToken, Dweller, World
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)
DAY = timedelta(hours=24)
TEN_MINUTES = timedelta(minutes=10)
INSTANT = timedelta(microseconds=1)

Register = Callable[[str], Agent]
Add = Callable[[str], Dweller]
Hold = Callable[[Agent, str], Dweller]
TokenFor = Callable[[Agent, Dweller], str]
ActNow = Callable[..., Action]
PassTime = Callable[..., None]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


@pytest.fixture
def ada(register: Register) -> Agent:
    """Who acts."""
    return register("ada")


@pytest.fixture
def ines(ada: Agent, hold: Hold) -> Dweller:
    """The dweller whom ada holds."""
    return hold(ada, "Ines")


@pytest.fixture
def spend(
    session: Session, clock: SimulatedClock, ids: SeededIds, ada: Agent, ines: Dweller
) -> Callable[[str], Action]:
    """Lets ada act through ines with a token, in the session's transaction, which goes on."""
    return lambda token: actions.act(session, clock, ids, ada, ines.id, Act(context_token=token, deed="Sails."))


@pytest.fixture
def spending(
    clock: SimulatedClock, ids: SeededIds, ada: Agent, ines: Dweller
) -> Callable[[str], Callable[[Session], Action]]:
    """Gives the same as an action for a transaction of its own."""
    return lambda token: lambda own: actions.act(own, clock, ids, ada, ines.id, Act(context_token=token, deed="Sinks."))


Spend = Callable[[str], Action]
Spending = Callable[[str], Callable[[Session], Action]]


def test_an_action_takes_two_steps(
    session: Session, clock: SimulatedClock, ada: Agent, ines: Dweller, token_for: TokenFor, spend: Spend
) -> None:
    """What it leaves: its number, a spent token, and a claim that is as new."""
    clock.advance(timedelta(hours=1))
    token = token_for(ada, ines)
    clock.advance(timedelta(minutes=1))
    action = spend(token)
    session.commit()
    session.expunge_all()
    kept = session.get_one(Action, action.id)
    assert (ines.id, ada.id, 1, "Sails.", clock.now()) == (
        kept.dweller_id,
        kept.agent_id,
        kept.number,
        kept.deed,
        kept.created_at,
    )
    assert 1 == session.get_one(Dweller, ines.id).action_count
    assert clock.now() == session.get_one(ContextToken, kept.context_token_id).spent_at
    claim = session.scalars(select(Claim)).one()
    assert (clock.now(), None) == (claim.last_action_at, claim.ended_at)


def test_a_context_is_what_is_known_of_the_dweller(
    session: Session, clock: SimulatedClock, ids: SeededIds, world: World, ada: Agent, ines: Dweller, act: ActNow
) -> None:
    """Its last five actions among it, in their order."""
    for number in range(1, 7):
        act(ada, ines, f"Deed {number}.")
    context = actions.read_context(session, clock, ids, ada, ines.id)
    assert (ines.id, 6, ada.id, world.id) == (
        context.held.dweller.id,
        context.held.dweller.action_count,
        context.held.claim.agent_id,
        context.world.id,
    )
    assert [(number, f"Deed {number}.") for number in range(2, 7)] == [
        (action.number, action.deed) for action in context.recent_actions
    ]
    assert clock.now() + TEN_MINUTES == actions.expires_at(context.token)


def test_actions_of_others_are_not_in_the_context(
    session: Session, clock: SimulatedClock, ids: SeededIds, ada: Agent, ines: Dweller, hold: Hold, act: ActNow
) -> None:
    """Not even those of the same agent through another dweller."""
    act(ada, hold(ada, "Juri"))
    assert [] == actions.read_context(session, clock, ids, ada, ines.id).recent_actions


def test_only_the_hash_of_a_token_is_kept(session: Session, ada: Agent, ines: Dweller, token_for: TokenFor) -> None:
    """As with API keys."""
    secret = token_for(ada, ines)
    token = session.scalars(select(ContextToken)).one()
    assert hashlib.sha256(secret.encode()).hexdigest() == token.token_sha256
    assert secret not in repr(session.execute(select(ContextToken.__table__)).all())


def test_a_token_expires_after_ten_minutes(
    ada: Agent, ines: Dweller, clock: SimulatedClock, token_for: TokenFor, spend: Spend
) -> None:
    """Good the instant before, refused from that instant on."""
    first, second = token_for(ada, ines), token_for(ada, ines)
    clock.advance(TEN_MINUTES - INSTANT)
    assert 1 == spend(first).number
    clock.advance(INSTANT)
    with pytest.raises(ApiError, match=r"^context_token_expired"):
        spend(second)


def test_a_token_is_spent_once(
    ada: Agent, ines: Dweller, clock: SimulatedClock, token_for: TokenFor, spend: Spend
) -> None:
    """That it was spent is said even when it has expired too."""
    token = token_for(ada, ines)
    spend(token)
    for _ in range(2):
        with pytest.raises(ApiError, match=r"^context_token_spent"):
            spend(token)
        clock.advance(TEN_MINUTES)


def test_several_tokens_are_good_in_any_order(ada: Agent, ines: Dweller, token_for: TokenFor, spend: Spend) -> None:
    """Asking again voids nothing."""
    tokens = [token_for(ada, ines) for _ in range(3)]
    assert [1, 2, 3] == [spend(token).number for token in reversed(tokens)]


def test_a_token_that_was_never_given_is_unknown(spend: Spend) -> None:
    """Whatever it looks like."""
    for token in ("x", "\x00", "\U0001f30d", "x" * 200):
        with pytest.raises(ApiError, match=r"^context_token_unknown"):
            spend(token)


def test_a_token_of_another_dweller_is_unknown(ada: Agent, hold: Hold, token_for: TokenFor, spend: Spend) -> None:
    """Although the same agent holds both."""
    token = token_for(ada, hold(ada, "Juri"))
    with pytest.raises(ApiError, match=r"^context_token_unknown"):
        spend(token)


def test_a_release_voids_the_tokens(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
) -> None:
    """The same agent has claimed again at once, and is not known by the old claim's token, spent or not."""
    token, spent = token_for(ada, ines), token_for(ada, ines)
    spend(spent)
    claims.release(session, clock, ada, ines.id)
    claims.claim(session, clock, ids, ada, ines.id)
    session.commit()
    for void in (token, spent):
        with pytest.raises(ApiError, match=r"^context_token_unknown"):
            spend(void)
    assert 2 == spend(token_for(ada, ines)).number


def test_another_holder_cannot_use_a_token(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    register: Register,
    token_for: TokenFor,
) -> None:
    """The claim it is bound to is the first holder's."""
    bob = register("bob")
    token = token_for(ada, ines)
    claims.release(session, clock, ada, ines.id)
    claims.claim(session, clock, ids, bob, ines.id)
    with pytest.raises(ApiError, match=r"^context_token_unknown"):
        actions.act(session, clock, ids, bob, ines.id, Act(context_token=token, deed="Sails."))


def test_the_first_fault_of_an_action_is_told(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    register: Register,
    pass_time: PassTime,
) -> None:
    """First whether the agent is awake, then whether the dweller is there, then whose it is, then the token."""
    bob = register("bob")
    body = Act(context_token="never given", deed="Sails.")

    def refused(agent: Agent, dweller_id: UUID, refusal: str) -> None:
        with pytest.raises(ApiError, match=f"^{refusal}"):
            actions.act(session, clock, ids, agent, dweller_id, body)

    refused(bob, NOTHING, "dweller_not_found")
    refused(bob, ines.id, "not_the_holder")
    refused(ada, ines.id, "context_token_unknown")
    pass_time(timedelta(days=7) - INSTANT)
    refused(ada, ines.id, "not_the_holder")
    pass_time(INSTANT)
    refused(ada, NOTHING, "agent_dormant")


def test_the_first_fault_of_a_context_is_told(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    register: Register,
    pass_time: PassTime,
) -> None:
    """The same, without the token; nothing is given."""
    bob = register("bob")

    def refused(agent: Agent, dweller_id: UUID, refusal: str) -> None:
        with pytest.raises(ApiError, match=f"^{refusal}"):
            actions.read_context(session, clock, ids, agent, dweller_id)

    refused(ada, NOTHING, "dweller_not_found")
    refused(bob, ines.id, "not_the_holder")
    pass_time(timedelta(days=7))
    refused(ada, NOTHING, "agent_dormant")
    assert [] == session.scalars(select(ContextToken)).all()


def test_who_let_the_claim_lapse_neither_looks_nor_acts(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
) -> None:
    """From the instant of the lapse on, although the token is fresh."""
    clock.advance(DAY - INSTANT)
    token = token_for(ada, ines)
    clock.advance(INSTANT)
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        spend(token)
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        actions.read_context(session, clock, ids, ada, ines.id)


def test_actions_are_numbered_a_dweller(ada: Agent, ines: Dweller, hold: Hold, act: ActNow) -> None:
    """From one, without gaps, whoever else acts."""
    juri = hold(ada, "Juri")
    assert [1, 1, 2, 3, 2] == [act(ada, dweller).number for dweller in (ines, juri, ines, ines, juri)]


def test_numbers_go_on_under_the_next_holder(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    register: Register,
    act: ActNow,
) -> None:
    """They are the dweller's, not the claim's; who acted stays with the action."""
    bob = register("bob")
    act(ada, ines)
    claims.release(session, clock, ada, ines.id)
    claims.claim(session, clock, ids, bob, ines.id)
    act(bob, ines)
    page, next_after = actions.actions_of(session, ines.id, 0, 10)
    assert [(1, ada.id), (2, bob.id)] == [(action.number, action.agent_id) for action in page]
    assert next_after is None


def test_actions_are_listed_page_by_page(session: Session, ada: Agent, ines: Dweller, hold: Hold, act: ActNow) -> None:
    """In the order of their numbers, those of one dweller."""
    act(ada, hold(ada, "Juri"))
    done = [act(ada, ines) for _ in range(3)]
    assert (done[:2], 2) == actions.actions_of(session, ines.id, 0, 2)
    assert (done[2:], None) == actions.actions_of(session, ines.id, 2, 2)
    assert (done, None) == actions.actions_of(session, ines.id, 0, 3)
    assert ([], None) == actions.actions_of(session, ines.id, 3, 3)
    with pytest.raises(ApiError, match=r"^dweller_not_found"):
        actions.actions_of(session, NOTHING, 0, 3)


def test_a_token_spent_twice_at_once_is_spent_once(
    session: Session,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
    spending: Spending,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first, and finds it spent."""
    token = token_for(ada, ines)
    spend(token)
    second = start_blocked(spending(token))
    session.commit()
    with pytest.raises(ApiError, match=r"^context_token_spent"):
        second.result(timeout=10)
    assert 1 == len(session.scalars(select(Action)).all())


def test_a_token_whose_action_is_undone_is_good_again(
    session: Session,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
    spending: Spending,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first, which fails: nothing of it is left, its number neither."""
    token = token_for(ada, ines)
    spend(token)
    second = start_blocked(spending(token))
    session.rollback()
    assert 1 == second.result(timeout=10).number


def test_two_actions_at_once_get_consecutive_numbers(
    session: Session,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
    spending: Spending,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first and counts on."""
    first_token, second_token = token_for(ada, ines), token_for(ada, ines)
    first = spend(first_token)
    second = start_blocked(spending(second_token))
    session.commit()
    assert [1, 2] == [first.number, second.result(timeout=10).number]
    session.expire_all()
    assert 2 == service.get_dweller(session, ines.id).action_count


def test_an_action_does_not_outlive_a_release(
    session: Session,
    clock: SimulatedClock,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spending: Spending,
    start_blocked: StartBlocked,
) -> None:
    """Both at once: the action waits for the release, and finds that its agent holds nothing."""
    token = token_for(ada, ines)
    claims.release(session, clock, ada, ines.id)
    second = start_blocked(spending(token))
    session.commit()
    with pytest.raises(ApiError, match=r"^not_the_holder"):
        second.result(timeout=10)


def test_a_context_shows_the_action_before_it(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    ada: Agent,
    ines: Dweller,
    token_for: TokenFor,
    spend: Spend,
    start_blocked: StartBlocked,
) -> None:
    """Both at once: the context waits for the action, so that its count and its actions agree."""
    spend(token_for(ada, ines))
    second = start_blocked(lambda own: actions.read_context(own, clock, ids, ada, ines.id))
    session.commit()
    context = second.result(timeout=10)
    assert (1, [1]) == (context.held.dweller.action_count, [action.number for action in context.recent_actions])


def test_the_database_keeps_a_second_action_out(
    session: Session, clock: SimulatedClock, ids: SeededIds, ada: Agent, ines: Dweller, act: ActNow
) -> None:
    """Were a service ever to let one token be spent twice."""
    act(ada, ines)
    token = session.scalars(select(ContextToken)).one()
    session.add(actions.next_action(ids, ines, ada, token, "Again.", clock.now()))
    with pytest.raises(IntegrityError, match="uq_actions_context_token_id"):
        session.flush()
