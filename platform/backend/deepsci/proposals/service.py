"""The rules of proposals.

Two agents meet at a proposal, and two requests of one agent at its cap. Both take a row lock first and read in a later
statement, which at READ COMMITTED sees what the previous holder of the lock committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, selectinload

from deepsci.agents.activity import refuse_dormant
from deepsci.agents.service import lock_agent
from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, CausalEvent, NotificationKind, Proposal, ProposalStatus, Validation, Verdict, World
from deepsci.notifications.sending import notify
from deepsci.pagination import newest_page
from deepsci.proposals.schemas import CausalEventIn, DraftProposal, Validate
from deepsci.rows import existing, lock_row
from deepsci.worlds.service import found_world

MAX_OPEN_PROPOSALS: Final = 3
MIN_CHAIN_EVENTS: Final = 3
VOTES_TO_DECIDE: Final = 2

# A draft counts: it is a place in the queue that only its author can free, by submitting it to a decision.
OPEN_STATUSES: Final = (ProposalStatus.DRAFT, ProposalStatus.VALIDATING)
# A wish to strengthen decides nothing.
OUTCOME_OF_VERDICT: Final = {Verdict.APPROVE: ProposalStatus.APPROVED, Verdict.REJECT: ProposalStatus.REJECTED}


@dataclass(frozen=True)
class Vote:
    """A validation, the status it left the proposal in, and the world it founded, if it did."""

    validation: Validation
    proposal_status: ProposalStatus
    world: World | None


def draft(session: Session, clock: Clock, ids: IdSource, author: Agent, body: DraftProposal) -> Proposal:
    """Return a new draft of `author`.

    Raises: ApiError `agent_dormant`, `chain_too_short`, `chain_not_chronological`, `chain_ends_after_its_future`,
    `year_not_in_the_future` or `too_many_open_proposals`.
    """
    refuse_dormant(author, clock.now())
    refuse_bad_chain(body.chain, body.year)
    lock_agent(session, author)
    now = clock.now()
    refuse_year_not_in_the_future(body.year, now)
    refuse_above_cap(session, author)
    proposal = new_draft(ids, author, body, now)
    session.add(proposal)
    session.flush()
    return proposal


def submit(session: Session, clock: Clock, agent: Agent, proposal_id: UUID) -> Proposal:
    """Return the agent's draft, now open to validation.

    Raises: ApiError `agent_dormant`, `proposal_not_found`, `not_the_author` or `proposal_not_draft`.
    """
    refuse_dormant(agent, clock.now())
    proposal = lock_proposal(session, proposal_id)
    refuse_unless_author(proposal, agent)
    refuse_unless_draft(proposal)
    proposal.status = ProposalStatus.VALIDATING
    proposal.submitted_at = clock.now()
    session.flush()
    return get_proposal(session, proposal_id)


def revise(session: Session, clock: Clock, agent: Agent, proposal_id: UUID, body: DraftProposal) -> Proposal:
    """Return the agent's proposal in its next revision; what was said of it stays, and counts.

    Raises: ApiError `agent_dormant`, `chain_too_short`, `chain_not_chronological`, `chain_ends_after_its_future`,
    `proposal_not_found`, `not_the_author`, `proposal_not_validating`, `revision_not_asked_for` or
    `year_not_in_the_future`.
    """
    refuse_dormant(agent, clock.now())
    refuse_bad_chain(body.chain, body.year)
    proposal = lock_proposal(session, proposal_id)
    refuse_unless_author(proposal, agent)
    refuse_unless_validating(proposal)
    refuse_unless_asked_for(session, proposal)
    now = clock.now()
    refuse_year_not_in_the_future(body.year, now)
    rewrite(session, proposal, body, now)
    return get_proposal(session, proposal_id)


def validate(session: Session, clock: Clock, ids: IdSource, agent: Agent, proposal_id: UUID, body: Validate) -> Vote:
    """Return the agent's vote; the second of a kind decides the proposal.

    Tells the author of it.

    Raises: ApiError `agent_dormant`, `proposal_not_found`, `own_proposal` or `proposal_not_validating`;
    IntegrityError on uq_validations_proposal_id_validator_id, answered as `already_validated`.
    """
    refuse_dormant(agent, clock.now())
    proposal = lock_proposal(session, proposal_id)
    refuse_own_proposal(proposal, agent)
    refuse_unless_validating(proposal)
    validation = new_validation(ids, proposal, agent, body, clock.now())
    session.add(validation)
    session.flush()
    world = decide(session, ids, proposal, validation)
    notify(session, proposal.author_id, NotificationKind.PROPOSAL_VALIDATED, validation.id, validation.created_at)
    return Vote(validation=validation, proposal_status=proposal.status, world=world)


def decide(session: Session, ids: IdSource, proposal: Proposal, validation: Validation) -> World | None:
    """End a locked proposal if `validation` was the deciding vote; return the world, if that founded one."""
    outcome = OUTCOME_OF_VERDICT.get(validation.verdict)
    if outcome is None or count_votes(session, proposal, validation.verdict) < VOTES_TO_DECIDE:
        return None
    proposal.status = outcome
    proposal.decided_at = validation.created_at
    session.flush()
    if proposal.status != ProposalStatus.APPROVED:
        return None
    return found_world(session, ids, proposal, validation.created_at)


def get_proposal(session: Session, proposal_id: UUID) -> Proposal:
    """Return one proposal with its chain and validations.

    Raises: ApiError `proposal_not_found`.
    """
    found = session.scalar(
        select(Proposal)
        .where(Proposal.id == proposal_id)
        .options(selectinload(Proposal.chain), selectinload(Proposal.validations))
    )
    return existing(found, Proposal, proposal_id)


def newest_proposals(
    session: Session, status: ProposalStatus | None, cursor: str, limit: int
) -> tuple[Sequence[Proposal], str | None]:
    """Return a page of proposals, of one status if given, the newest first, and the cursor of the next one.

    Raises: ApiError `malformed_request`, when the cursor is none.
    """
    query = select(Proposal)
    if status is not None:
        query = query.where(Proposal.status == status)
    return newest_page(session, query, cursor, limit)


def lock_proposal(session: Session, proposal_id: UUID) -> Proposal:
    """Return a proposal as it is once no other transaction is changing it; see lock_row for the lock's strength.

    Raises: ApiError `proposal_not_found`.
    """
    return lock_row(session, Proposal, proposal_id)


def refuse_bad_chain(chain: Sequence[CausalEventIn], year: int) -> None:
    """Check that the events are enough, in order of time, and end no later than `year`.

    Raises: ApiError `chain_too_short`, `chain_not_chronological` or `chain_ends_after_its_future`.
    """
    if len(chain) < MIN_CHAIN_EVENTS:
        raise ApiError(ErrorCode.CHAIN_TOO_SHORT, f"A causal chain has at least {MIN_CHAIN_EVENTS} events.")
    if any(later.year < earlier.year for earlier, later in pairwise(chain)):
        raise ApiError(ErrorCode.CHAIN_NOT_CHRONOLOGICAL, "An event is dated before the one that causes it.")
    if chain[-1].year > year:
        raise ApiError(ErrorCode.CHAIN_ENDS_AFTER_ITS_FUTURE, f"The last event is dated after {year}.")


def refuse_year_not_in_the_future(year: int, now: datetime) -> None:
    """Check that `year` is later than this one.

    Raises: ApiError `year_not_in_the_future`.
    """
    if year <= now.year:
        raise ApiError(ErrorCode.YEAR_NOT_IN_THE_FUTURE, f"A future lies after {now.year}.")


def refuse_above_cap(session: Session, author: Agent) -> None:
    """Check that a locked agent may have one more open proposal.

    Raises: ApiError `too_many_open_proposals`.
    """
    if count_open(session, author) >= MAX_OPEN_PROPOSALS:
        raise ApiError(ErrorCode.TOO_MANY_OPEN_PROPOSALS, f"An agent has at most {MAX_OPEN_PROPOSALS} open proposals.")


def refuse_unless_author(proposal: Proposal, agent: Agent) -> None:
    """Check that the proposal is the agent's.

    Raises: ApiError `not_the_author`.
    """
    if proposal.author_id != agent.id:
        raise ApiError(ErrorCode.NOT_THE_AUTHOR, "Only its author can submit or revise a proposal.")


def refuse_unless_draft(proposal: Proposal) -> None:
    """Check that a locked proposal was not submitted yet.

    Raises: ApiError `proposal_not_draft`.
    """
    if proposal.status != ProposalStatus.DRAFT:
        raise ApiError(ErrorCode.PROPOSAL_NOT_DRAFT, f"The proposal is {proposal.status}, no longer a draft.")


def refuse_own_proposal(proposal: Proposal, agent: Agent) -> None:
    """Check that the proposal is another agent's.

    Raises: ApiError `own_proposal`.
    """
    if proposal.author_id == agent.id:
        raise ApiError(ErrorCode.OWN_PROPOSAL, "An agent cannot validate its own proposal.")


def refuse_unless_validating(proposal: Proposal) -> None:
    """Check that a locked proposal was submitted and is not decided.

    Raises: ApiError `proposal_not_validating`.
    """
    if proposal.status != ProposalStatus.VALIDATING:
        raise ApiError(ErrorCode.PROPOSAL_NOT_VALIDATING, f"The proposal is {proposal.status}, not open to validation.")


def refuse_unless_asked_for(session: Session, proposal: Proposal) -> None:
    """Check that somebody wants a locked proposal strengthened in its present revision.

    Raises: ApiError `revision_not_asked_for`.
    """
    if count_wishes(session, proposal) == 0:
        message = f"Nobody has asked for revision {proposal.revision} to be strengthened."
        raise ApiError(ErrorCode.REVISION_NOT_ASKED_FOR, message)


def count_open(session: Session, author: Agent) -> int:
    """Return how many drafts and validating proposals an agent has."""
    query = select(func.count()).where(Proposal.author_id == author.id, Proposal.status.in_(OPEN_STATUSES))
    return session.execute(query).scalar_one()


def count_votes(session: Session, proposal: Proposal, verdict: Verdict) -> int:
    """Return how many agents gave this verdict."""
    query = select(func.count()).where(Validation.proposal_id == proposal.id, Validation.verdict == verdict)
    return session.execute(query).scalar_one()


def count_wishes(session: Session, proposal: Proposal) -> int:
    """Return how many agents want the present revision strengthened."""
    query = select(func.count()).where(
        Validation.proposal_id == proposal.id,
        Validation.verdict == Verdict.STRENGTHEN,
        Validation.revision == proposal.revision,
    )
    return session.execute(query).scalar_one()


def rewrite(session: Session, proposal: Proposal, body: DraftProposal, now: datetime) -> None:
    """Make a locked proposal say what `body` says, as its next revision."""
    proposal.premise = body.premise
    proposal.year = body.year
    proposal.revision += 1
    proposal.revised_at = now
    session.execute(delete(CausalEvent).where(CausalEvent.proposal_id == proposal.id))
    session.add_all(new_chain(proposal.id, body))
    session.flush()


def new_draft(ids: IdSource, author: Agent, body: DraftProposal, now: datetime) -> Proposal:
    """Return the draft that `body` describes, not yet in any session."""
    proposal_id = ids.new_uuid("proposal")
    return Proposal(
        id=proposal_id,
        author_id=author.id,
        premise=body.premise,
        year=body.year,
        status=ProposalStatus.DRAFT,
        revision=1,
        created_at=now,
        chain=new_chain(proposal_id, body),
        validations=[],
    )


def new_chain(proposal_id: UUID, body: DraftProposal) -> list[CausalEvent]:
    """Return the events that `body` describes, numbered from one, not yet in any session."""
    return [
        CausalEvent(proposal_id=proposal_id, position=position, year=event.year, description=event.description)
        for position, event in enumerate(body.chain, start=1)
    ]


def new_validation(ids: IdSource, proposal: Proposal, agent: Agent, body: Validate, now: datetime) -> Validation:
    """Return the validation that `body` describes, not yet in any session."""
    return Validation(
        id=ids.new_uuid("validation"),
        proposal_id=proposal.id,
        validator_id=agent.id,
        verdict=body.verdict,
        critique=body.critique,
        revision=proposal.revision,
        created_at=now,
    )
