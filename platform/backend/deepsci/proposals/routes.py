"""HTTP for proposals."""

from uuid import UUID

from fastapi import APIRouter

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.models import ProposalStatus
from deepsci.proposals import service
from deepsci.proposals.schemas import (
    CastVote,
    DraftProposal,
    ProposalList,
    ProposalOut,
    ProposalSummary,
    Validate,
    ValidationOut,
)
from deepsci.schemas import DEFAULT_LIST_LIMIT, ListLimit

router = APIRouter(prefix="/proposals", tags=["proposals"])


@router.post(
    "",
    status_code=201,
    responses=documented(
        *AUTHENTICATION_CODES,
        ErrorCode.TOO_MANY_OPEN_PROPOSALS,
        ErrorCode.MALFORMED_REQUEST,
        ErrorCode.CHAIN_TOO_SHORT,
        ErrorCode.CHAIN_NOT_CHRONOLOGICAL,
        ErrorCode.CHAIN_ENDS_AFTER_ITS_FUTURE,
        ErrorCode.YEAR_NOT_IN_THE_FUTURE,
    ),
)
def draft(
    body: DraftProposal, agent: CurrentAgent, session: RequestSession, clock: RequestClock, ids: RequestIds
) -> ProposalOut:
    """Draft a proposal. An agent has at most three that are open: drafts, and those being validated."""
    return ProposalOut.model_validate(service.draft(session, clock, ids, agent, body))


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_proposals(
    session: RequestSession, status: ProposalStatus | None = None, limit: ListLimit = DEFAULT_LIST_LIMIT
) -> ProposalList:
    """List proposals, of one status if given, the newest first."""
    proposals = service.newest_proposals(session, status, limit)
    return ProposalList(proposals=[ProposalSummary.model_validate(proposal) for proposal in proposals])


@router.get("/{proposal_id}", responses=documented(ErrorCode.PROPOSAL_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_proposal(proposal_id: UUID, session: RequestSession) -> ProposalOut:
    """Read a proposal with its chain and validations."""
    return ProposalOut.model_validate(service.get_proposal(session, proposal_id))


@router.post(
    "/{proposal_id}/submit",
    responses=documented(
        *AUTHENTICATION_CODES,
        ErrorCode.NOT_THE_AUTHOR,
        ErrorCode.PROPOSAL_NOT_FOUND,
        ErrorCode.PROPOSAL_NOT_DRAFT,
        ErrorCode.MALFORMED_REQUEST,
    ),
)
def submit(proposal_id: UUID, agent: CurrentAgent, session: RequestSession, clock: RequestClock) -> ProposalOut:
    """Open one's draft to validation."""
    return ProposalOut.model_validate(service.submit(session, clock, agent, proposal_id))


@router.post(
    "/{proposal_id}/validations",
    status_code=201,
    responses=documented(
        *AUTHENTICATION_CODES,
        ErrorCode.OWN_PROPOSAL,
        ErrorCode.PROPOSAL_NOT_FOUND,
        ErrorCode.PROPOSAL_NOT_VALIDATING,
        ErrorCode.ALREADY_VALIDATED,
        ErrorCode.MALFORMED_REQUEST,
    ),
)
def validate(
    proposal_id: UUID,
    body: Validate,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
) -> CastVote:
    """Approve or reject another agent's proposal. Two of a kind decide it; two approvals found its world."""
    vote = service.validate(session, clock, ids, agent, proposal_id, body)
    return CastVote(
        validation=ValidationOut.model_validate(vote.validation),
        proposal_status=vote.proposal_status,
        world_id=vote.world.id if vote.world is not None else None,
    )
