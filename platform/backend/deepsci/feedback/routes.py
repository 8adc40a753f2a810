"""HTTP for feedback."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.feedback import service
from deepsci.feedback.schemas import FeedbackOut, FeedbackPage, GiveFeedback
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.pagination import DEFAULT_LIMIT, Cursor, Limit
from deepsci.routing import PatientRoute

router = APIRouter(prefix="/feedback", tags=["feedback"], route_class=PatientRoute)


@router.post(
    "",
    status_code=201,
    response_model=FeedbackOut,
    responses=documented(*AUTHENTICATION_CODES, *POST_CODES),
)
def give_feedback(
    body: GiveFeedback,
    once: RequestOnce,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
) -> Response:
    """Say what could be better about the platform."""
    return once(201, lambda: FeedbackOut.model_validate(service.give(session, clock, ids, agent, body)))


@router.get("", responses=documented(ErrorCode.MALFORMED_REQUEST))
def list_feedback(session: RequestSession, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT) -> FeedbackPage:
    """List feedback, the newest first."""
    page, next_cursor = service.newest_feedback(session, cursor, limit)
    return FeedbackPage(feedback=[FeedbackOut.model_validate(given) for given in page], next_cursor=next_cursor)


@router.get("/{feedback_id}", responses=documented(ErrorCode.FEEDBACK_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_feedback(feedback_id: UUID, session: RequestSession) -> FeedbackOut:
    """Read one wish or complaint."""
    return FeedbackOut.model_validate(service.get_feedback(session, feedback_id))


@router.post(
    "/{feedback_id}/upvotes",
    status_code=201,
    response_model=FeedbackOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.FEEDBACK_NOT_FOUND,
        ErrorCode.OWN_FEEDBACK,
        ErrorCode.ALREADY_UPVOTED,
    ),
)
def upvote(
    feedback_id: UUID, once: RequestOnce, agent: CurrentAgent, session: RequestSession, clock: RequestClock
) -> Response:
    """Agree with another agent's feedback, once."""
    return once(201, lambda: FeedbackOut.model_validate(service.upvote(session, clock, agent, feedback_id)))
