"""deepsci.proposals.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent, Proposal, ProposalStatus, Verdict, World
from deepsci.proposals import service
from deepsci.proposals.schemas import CausalEventIn, DraftProposal, Validate
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.randomness import SeededIds
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)
APPROVE = Validate(verdict=Verdict.APPROVE, critique="Plausible.")
REJECT = Validate(verdict=Verdict.REJECT, critique="Implausible.")

Register = Callable[[str], Agent]
Submitted = Callable[[Agent], Proposal]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


def years(draft: DraftProposal, *of_events: int, future: int = 2200) -> DraftProposal:
    """Return the draft with other years."""
    chain = [CausalEventIn(year=year, description="A step.") for year in of_events]
    return draft.model_copy(update={"year": future, "chain": chain})


def test_a_draft_keeps_its_chain_in_order(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, draft: DraftProposal
) -> None:
    """Numbered from one."""
    proposal = service.draft(session, clock, ids, register("ada"), draft)
    session.commit()
    session.expunge_all()
    read = service.get_proposal(session, proposal.id)
    assert [(1, 2100, "Step 0."), (2, 2110, "Step 1."), (3, 2120, "Step 2.")] == [
        (event.position, event.year, event.description) for event in read.chain
    ]


def test_what_was_not_loaded_is_not_loaded_behind_ones_back(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, draft: DraftProposal
) -> None:
    """A forgotten eager load is an error, not a query a row."""
    service.draft(session, clock, ids, register("ada"), draft)
    session.commit()
    session.expunge_all()
    (listed,) = service.newest_proposals(session, None, 10)
    with pytest.raises(InvalidRequestError, match="lazy='raise'"):
        _ = listed.chain


@pytest.mark.parametrize(
    ("of_events", "refusal"),
    [
        ((), "chain_too_short"),
        ((2100, 2110), "chain_too_short"),
        ((2110, 2100, 2120), "chain_not_chronological"),
        ((2100, 2120, 2110), "chain_not_chronological"),
        ((2100, 2110, 2201), "chain_ends_after_its_future"),
    ],
)
def test_a_bad_chain_is_refused(draft: DraftProposal, of_events: tuple[int, ...], refusal: str) -> None:
    """For the first of its faults."""
    bad = years(draft, *of_events)
    with pytest.raises(ApiError, match=f"^{refusal}"):
        service.refuse_bad_chain(bad.chain, bad.year)


@pytest.mark.parametrize("of_events", [(2100, 2100, 2100), (1, 2, 2200)])
def test_events_may_share_a_year_and_reach_the_future(draft: DraftProposal, of_events: tuple[int, ...]) -> None:
    """The thresholds themselves are good."""
    good = years(draft, *of_events)
    service.refuse_bad_chain(good.chain, good.year)


def test_the_future_begins_next_year(clock: SimulatedClock) -> None:
    """A year is good until its first second, and refused from then on."""
    service.refuse_year_not_in_the_future(2027, clock.now())
    with pytest.raises(ApiError, match=r"^year_not_in_the_future"):
        service.refuse_year_not_in_the_future(2026, clock.now())
    clock.advance(timedelta(days=365))
    with pytest.raises(ApiError, match=r"^year_not_in_the_future"):
        service.refuse_year_not_in_the_future(2027, clock.now())


def test_drafts_and_validating_proposals_count_as_open(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """Two submitted and one draft are three."""
    ada = register("ada")
    submitted(ada), submitted(ada)
    service.draft(session, clock, ids, ada, draft)
    with pytest.raises(ApiError, match=r"^too_many_open_proposals"):
        service.draft(session, clock, ids, ada, draft)


def test_a_decision_makes_room(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """What is decided is no longer open."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    decided, _open, _open_too = submitted(ada), submitted(ada), submitted(ada)
    for voter in (bob, cyd):
        service.validate(session, clock, ids, voter, decided.id, REJECT)
    assert service.draft(session, clock, ids, ada, draft).status == ProposalStatus.DRAFT


def test_the_cap_holds_when_two_drafts_arrive_at_once(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first and counts it."""
    ada = register("ada")
    submitted(ada), submitted(ada)
    service.draft(session, clock, ids, ada, draft)
    second = start_blocked(lambda own: service.draft(own, clock, ids, ada, draft))
    session.commit()
    with pytest.raises(ApiError, match=r"^too_many_open_proposals"):
        second.result(timeout=10)


def test_drafting_does_not_hinder_the_author_from_voting(
    session: Session,
    engine: Any,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """The lock for the cap is not one that a foreign key check waits for."""
    ada, bob = register("ada"), register("bob")
    proposal = submitted(bob)
    service.draft(session, clock, ids, ada, draft)
    with Session(engine) as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        assert service.validate(other, clock, ids, ada, proposal.id, APPROVE).world is None


def test_two_approvals_make_a_world(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, submitted: Submitted
) -> None:
    """The second vote says which."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal = submitted(ada)
    first = service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    assert (first.proposal_status, first.world) == (ProposalStatus.VALIDATING, None)
    clock.advance(timedelta(hours=1))
    second = service.validate(session, clock, ids, cyd, proposal.id, APPROVE)
    assert second.proposal_status == ProposalStatus.APPROVED
    assert second.world is session.scalars(select(World)).one()
    assert (proposal.id, proposal.premise, proposal.year, clock.now()) == (
        second.world.proposal_id,
        second.world.premise,
        second.world.year,
        second.world.created_at,
    )
    assert proposal.decided_at == clock.now()


def test_a_dispute_goes_on_until_two_agree(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, submitted: Submitted
) -> None:
    """One approval and one rejection decide nothing; the third vote does."""
    proposal = submitted(register("ada"))
    statuses = [
        service.validate(session, clock, ids, register(name), proposal.id, vote).proposal_status
        for name, vote in (("bob", APPROVE), ("cyd", REJECT), ("dee", REJECT))
    ]
    assert ["validating", "validating", "rejected"] == statuses
    assert session.execute(select(func.count()).select_from(World)).scalar_one() == 0


def test_two_deciding_votes_at_once_found_one_world(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first, and finds the proposal decided."""
    ada, bob, cyd, dee = (register(name) for name in ("ada", "bob", "cyd", "dee"))
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    session.commit()
    service.validate(session, clock, ids, cyd, proposal.id, APPROVE)
    second = start_blocked(lambda own: service.validate(own, clock, ids, dee, proposal.id, APPROVE))
    session.commit()
    with pytest.raises(ApiError, match=r"^proposal_not_validating"):
        second.result(timeout=10)
    assert session.execute(select(func.count()).select_from(World)).scalar_one() == 1


def test_two_first_votes_at_once_decide(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first and counts it: no decision is missed."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    second = start_blocked(lambda own: service.validate(own, clock, ids, cyd, proposal.id, APPROVE))
    session.commit()
    assert second.result(timeout=10).proposal_status == ProposalStatus.APPROVED


def test_the_same_vote_twice_at_once_counts_once(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    start_blocked: StartBlocked,
) -> None:
    """The constraint refuses the second."""
    ada, bob = register("ada"), register("bob")
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    second = start_blocked(lambda own: service.validate(own, clock, ids, bob, proposal.id, APPROVE))
    session.commit()
    with pytest.raises(IntegrityError, match="uq_validations_proposal_id_validator_id"):
        second.result(timeout=10)


def test_submitting_twice_at_once_submits_once(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    draft: DraftProposal,
    start_blocked: StartBlocked,
) -> None:
    """The second finds no draft any more."""
    ada = register("ada")
    proposal = service.draft(session, clock, ids, ada, draft)
    session.commit()
    service.submit(session, clock, ada, proposal.id)
    second = start_blocked(lambda own: service.submit(own, clock, ada, proposal.id))
    session.commit()
    with pytest.raises(ApiError, match=r"^proposal_not_draft"):
        second.result(timeout=10)


def test_an_unknown_proposal_is_not_found(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register
) -> None:
    """Whatever one wants of it."""
    ada = register("ada")
    with pytest.raises(ApiError, match=r"^proposal_not_found"):
        service.get_proposal(session, NOTHING)
    with pytest.raises(ApiError, match=r"^proposal_not_found"):
        service.submit(session, clock, ada, NOTHING)
    with pytest.raises(ApiError, match=r"^proposal_not_found"):
        service.validate(session, clock, ids, ada, NOTHING, APPROVE)


def test_proposals_are_listed_by_status_the_newest_first(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """Ties are no matter here; see the agents for those."""
    ada = register("ada")
    older = submitted(ada)
    clock.advance(timedelta(seconds=1))
    newer = submitted(ada)
    drafted = service.draft(session, clock, ids, ada, draft)
    assert [newer, older] == service.newest_proposals(session, ProposalStatus.VALIDATING, 10)
    assert [drafted] == service.newest_proposals(session, ProposalStatus.DRAFT, 10)
    assert {older, newer, drafted} == set(service.newest_proposals(session, None, 10))
