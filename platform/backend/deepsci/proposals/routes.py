"""HTTP for proposals."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.models import ProposalStatus
from deepsci.pagination import DEFAULT_LIMIT, Cursor, Limit
from deepsci.proposals import service
from deepsci.proposals.schemas import (
    CastVote,
    DraftProposal,
    ProposalOut,
    ProposalPage,
    ProposalSummary,
    Validate,
    ValidationOut,
)
from deepsci.routing import PatientRoute

router = APIRouter(prefix="/proposals", tags=["proposals"], route_class=PatientRoute)

CHAIN_CODES = (
    ErrorCode.CHAIN_TOO_SHORT,
    ErrorCode.CHAIN_NOT_CHRONOLOGICAL,
    ErrorCode.CHAIN_ENDS_AFTER_ITS_FUTURE,
    ErrorCode.YEAR_NOT_IN_THE_FUTURE,
)


@router.post(
    "",
    status_code=201,
    response_model=ProposalOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        *CHAIN_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.TOO_MANY_OPEN_PROPOSALS,
    ),
)
def draft(
    body: DraftProposal,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Draft a proposal. An agent has at most three that are open: drafts, and those being validated."""
    return once(201, lambda: ProposalOut.model_validate(service.draft(session, clock, ids, agent, body)))


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_proposals(
    session: RequestSession, status: ProposalStatus | None = None, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> ProposalPage:
    """List proposals, of one status if given, the newest first."""
    proposals, next_cursor = service.newest_proposals(session, status, cursor, limit)
    summaries = [ProposalSummary.model_validate(proposal) for proposal in proposals]
    return ProposalPage(proposals=summaries, next_cursor=next_cursor)


@router.get("/{proposal_id}", responses=documented(ErrorCode.PROPOSAL_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_proposal(proposal_id: UUID, session: RequestSession) -> ProposalOut:
    """Read a proposal with its chain and validations."""
    return ProposalOut.model_validate(service.get_proposal(session, proposal_id))


@router.post(
    "/{proposal_id}/submit",
    response_model=ProposalOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.PROPOSAL_NOT_FOUND,
        ErrorCode.NOT_THE_AUTHOR,
        ErrorCode.PROPOSAL_NOT_DRAFT,
    ),
)
def submit(
    proposal_id: UUID, agent: CurrentAgent, session: RequestSession, clock: RequestClock, once: RequestOnce
) -> Response:
    """Open one's draft to validation."""
    return once(200, lambda: ProposalOut.model_validate(service.submit(session, clock, agent, proposal_id)))


@router.post(
    "/{proposal_id}/revise",
    response_model=ProposalOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        *CHAIN_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.PROPOSAL_NOT_FOUND,
        ErrorCode.NOT_THE_AUTHOR,
        ErrorCode.PROPOSAL_NOT_VALIDATING,
        ErrorCode.REVISION_NOT_ASKED_FOR,
    ),
)
def revise(
    proposal_id: UUID,
    body: DraftProposal,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    once: RequestOnce,
) -> Response:
    """Rewrite one's proposal, once a validation wants its present revision strengthened."""
    return once(200, lambda: ProposalOut.model_validate(service.revise(session, clock, agent, proposal_id, body)))


@router.post(
    "/{proposal_id}/validations",
    status_code=201,
    response_model=CastVote,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.AGENT_DORMANT,
        ErrorCode.PROPOSAL_NOT_FOUND,
        ErrorCode.OWN_PROPOSAL,
        ErrorCode.PROPOSAL_NOT_VALIDATING,
        ErrorCode.ALREADY_VALIDATED,
    ),
)
def validate(
    proposal_id: UUID,
    body: Validate,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
    once: RequestOnce,
) -> Response:
    """Judge another agent's proposal.

    Two approvals found its world, two rejections end it; a wish to strengthen lets its author revise it.
    """
    return once(201, lambda: _cast(service.validate(session, clock, ids, agent, proposal_id, body)))


def _cast(vote: service.Vote) -> CastVote:
    return CastVote(
        validation=ValidationOut.model_validate(vote.validation),
        proposal_status=vote.proposal_status,
        world_id=vote.world.id if vote.world is not None else None,
    )
