"""deepsci.proposals.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent, Notification, Proposal, ProposalStatus, Verdict, World
from deepsci.proposals import service
from deepsci.proposals.schemas import CausalEventIn, DraftProposal, Validate
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)
APPROVE = Validate(verdict=Verdict.APPROVE, critique="Plausible.")
STRENGTHEN = Validate(verdict=Verdict.STRENGTHEN, critique="Vague.")
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
    (listed,), _cursor = service.newest_proposals(session, None, "", 10)
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


def test_proposals_are_listed_by_status_page_by_page(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """The newest first; what has another status takes no place on a page."""
    ada = register("ada")
    older = submitted(ada)
    clock.advance(timedelta(seconds=1))
    drafted = service.draft(session, clock, ids, ada, draft)
    clock.advance(timedelta(seconds=1))
    newer = submitted(ada)
    page, cursor = service.newest_proposals(session, ProposalStatus.VALIDATING, "", 1)
    assert [newer] == page
    assert cursor is not None
    assert ([older], None) == service.newest_proposals(session, ProposalStatus.VALIDATING, cursor, 1)
    assert ([drafted], None) == service.newest_proposals(session, ProposalStatus.DRAFT, "", 10)
    assert ([newer, drafted, older], None) == service.newest_proposals(session, None, "", 10)


def test_a_wish_to_strengthen_decides_nothing(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, submitted: Submitted
) -> None:
    """However many have it; those who approve decide as if it were not there."""
    proposal = submitted(register("ada"))
    statuses = [
        service.validate(session, clock, ids, register(name), proposal.id, vote).proposal_status
        for name, vote in (("bob", STRENGTHEN), ("cyd", STRENGTHEN), ("dee", APPROVE), ("eve", APPROVE))
    ]
    assert ["validating", "validating", "validating", "approved"] == statuses


def test_a_revision_replaces_the_whole_chain(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """Longer or shorter than the one before, and numbered from one again."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal = submitted(ada)
    for voter, of_events in ((bob, (2100, 2110, 2120, 2130, 2140)), (cyd, (2150, 2160, 2170))):
        service.validate(session, clock, ids, voter, proposal.id, STRENGTHEN)
        revised = service.revise(session, clock, ada, proposal.id, years(draft, *of_events, future=2300))
        assert list(enumerate(of_events, start=1)) == [(event.position, event.year) for event in revised.chain]
    session.commit()
    session.expunge_all()
    read = service.get_proposal(session, proposal.id)
    assert (3, 2300, 3) == (read.revision, read.year, len(read.chain))


def test_a_revision_is_dated_and_its_votes_stay(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """An approval of the first revision and one of the second are two."""
    ada, bob, cyd, dee = (register(name) for name in ("ada", "bob", "cyd", "dee"))
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    service.validate(session, clock, ids, cyd, proposal.id, STRENGTHEN)
    clock.advance(timedelta(hours=1))
    revised = service.revise(session, clock, ada, proposal.id, draft)
    assert (2, clock.now()) == (revised.revision, revised.revised_at)
    assert proposal.created_at == clock.now() - timedelta(hours=1)
    deciding = service.validate(session, clock, ids, dee, proposal.id, APPROVE)
    assert (2, ProposalStatus.APPROVED) == (deciding.validation.revision, deciding.proposal_status)


def test_only_a_wish_for_the_present_revision_asks_for_the_next(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """One wish is one revision, and other verdicts are no wish."""
    ada, bob, cyd, dee = (register(name) for name in ("ada", "bob", "cyd", "dee"))
    proposal, other = submitted(ada), submitted(ada)
    service.validate(session, clock, ids, bob, other.id, STRENGTHEN)
    service.validate(session, clock, ids, bob, proposal.id, APPROVE)
    with pytest.raises(ApiError, match=r"^revision_not_asked_for"):
        service.revise(session, clock, ada, proposal.id, draft)
    service.validate(session, clock, ids, cyd, proposal.id, STRENGTHEN)
    service.revise(session, clock, ada, proposal.id, draft)
    with pytest.raises(ApiError, match=r"^revision_not_asked_for"):
        service.revise(session, clock, ada, proposal.id, draft)
    service.validate(session, clock, ids, dee, proposal.id, STRENGTHEN)
    assert service.revise(session, clock, ada, proposal.id, draft).revision == 3


def test_an_agent_validates_once_whatever_is_revised(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """Who asked for the revision has said its word."""
    ada, bob = register("ada"), register("bob")
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, STRENGTHEN)
    service.revise(session, clock, ada, proposal.id, draft)
    with pytest.raises(IntegrityError, match="uq_validations_proposal_id_validator_id"):
        service.validate(session, clock, ids, bob, proposal.id, APPROVE)


def test_revising_twice_at_once_revises_once(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
    start_blocked: StartBlocked,
) -> None:
    """The second finds a revision that nobody has asked to strengthen."""
    ada, bob = register("ada"), register("bob")
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, STRENGTHEN)
    session.commit()
    service.revise(session, clock, ada, proposal.id, draft)
    second = start_blocked(lambda own: service.revise(own, clock, ada, proposal.id, draft))
    session.commit()
    with pytest.raises(ApiError, match=r"^revision_not_asked_for"):
        second.result(timeout=10)


def test_a_vote_that_waits_for_a_revision_judges_the_new_one(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
    start_blocked: StartBlocked,
) -> None:
    """It says of which revision it is what was true when it was counted."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal = submitted(ada)
    service.validate(session, clock, ids, bob, proposal.id, STRENGTHEN)
    session.commit()
    service.revise(session, clock, ada, proposal.id, draft)
    second = start_blocked(lambda own: service.validate(own, clock, ids, cyd, proposal.id, APPROVE))
    session.commit()
    assert second.result(timeout=10).validation.revision == 2


def test_a_decided_proposal_is_revised_no_more(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    submitted: Submitted,
    draft: DraftProposal,
) -> None:
    """Though somebody wished it had been."""
    ada = register("ada")
    proposal = submitted(ada)
    for name, vote in (("bob", STRENGTHEN), ("cyd", REJECT), ("dee", REJECT)):
        service.validate(session, clock, ids, register(name), proposal.id, vote)
    with pytest.raises(ApiError, match=r"^proposal_not_validating"):
        service.revise(session, clock, ada, proposal.id, draft)


def test_the_author_is_told_of_each_validation(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, submitted: Submitted
) -> None:
    """By its id, in the order of the votes, and nobody else is."""
    ada, bob, cyd = register("ada"), register("bob"), register("cyd")
    proposal = submitted(ada)
    given = []
    for voter, vote in ((bob, STRENGTHEN), (cyd, APPROVE)):
        clock.advance(timedelta(hours=1))
        given.append(service.validate(session, clock, ids, voter, proposal.id, vote).validation)
    assert [
        (ada.id, number, "proposal_validated", validation.id, validation.created_at)
        for number, validation in enumerate(given, start=1)
    ] == [
        (told.agent_id, told.number, told.kind, told.subject_id, told.created_at)
        for told in session.scalars(select(Notification).order_by(Notification.number))
    ]
