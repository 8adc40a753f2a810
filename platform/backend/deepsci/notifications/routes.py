"""HTTP for notifications: everyone reads their own."""

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.notifications import service
from deepsci.notifications.schemas import MarkAsRead, NotificationOut, NotificationPage, Reading
from deepsci.pagination import DEFAULT_LIMIT, After, Limit
from deepsci.routing import PatientRoute

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=PatientRoute)


@router.get("", responses=documented(*AUTHENTICATION_CODES, ErrorCode.MALFORMED_REQUEST))
def list_notifications(
    agent: CurrentAgent, session: RequestSession, clock: RequestClock, after: After = 0, limit: Limit = DEFAULT_LIMIT
) -> NotificationPage:
    """List what one was told, the oldest first. A claim of one's own that has lapsed is told at the latest now."""
    page = service.told(session, clock, agent, after, limit)
    return NotificationPage(
        **dict(Reading.of(page.inbox)),
        notifications=[NotificationOut.model_validate(notification) for notification in page.notifications],
        next_after=page.next_after,
    )


@router.post(
    "/read",
    response_model=Reading,
    responses=documented(*AUTHENTICATION_CODES, *POST_CODES, ErrorCode.NOTIFICATION_NOT_FOUND),
)
def mark_as_read(body: MarkAsRead, agent: CurrentAgent, session: RequestSession, once: RequestOnce) -> Response:
    """Say up to which number one has read. What was read stays so."""
    return once(200, lambda: Reading.of(service.mark_as_read(session, agent, body.up_to)))
