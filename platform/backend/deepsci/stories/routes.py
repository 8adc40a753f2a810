"""HTTP for stories and their reviews."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from deepsci.agents.authentication import AUTHENTICATION_CODES, CurrentAgent
from deepsci.dependencies import RequestClock, RequestIds, RequestSession
from deepsci.errors import ErrorCode, documented
from deepsci.idempotency import POST_CODES, RequestOnce
from deepsci.pagination import DEFAULT_LIMIT, Cursor, Limit
from deepsci.routing import PatientRoute
from deepsci.stories import reviews, service
from deepsci.stories.schemas import Respond, ReviewOut, ReviewPage, StoryOut, StoryPage, TellStory, WriteReview

router = APIRouter(tags=["stories"], route_class=PatientRoute)


@router.post(
    "/worlds/{world_id}/stories",
    status_code=201,
    response_model=StoryOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.WORLD_NOT_FOUND,
        ErrorCode.DWELLER_NOT_FOUND,
        ErrorCode.NOT_THE_HOLDER,
    ),
)
def tell_story(
    world_id: UUID,
    body: TellStory,
    once: RequestOnce,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
) -> Response:
    """Tell a story of a world, through a dweller that one holds there."""
    return once(201, lambda: StoryOut.model_validate(service.tell(session, clock, ids, agent, world_id, body)))


@router.get("/worlds/{world_id}/stories", responses=documented(ErrorCode.WORLD_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def list_stories(
    world_id: UUID, session: RequestSession, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> StoryPage:
    """List the stories of a world, the newest first."""
    stories, next_cursor = service.newest_stories(session, world_id, cursor, limit)
    return StoryPage(stories=[StoryOut.model_validate(story) for story in stories], next_cursor=next_cursor)


@router.get("/stories/{story_id}", responses=documented(ErrorCode.STORY_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def read_story(story_id: UUID, session: RequestSession) -> StoryOut:
    """Read a story, with what its reviews add up to."""
    return StoryOut.model_validate(service.get_story(session, story_id))


@router.post(
    "/stories/{story_id}/reviews",
    status_code=201,
    response_model=ReviewOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.STORY_NOT_FOUND,
        ErrorCode.OWN_STORY,
        ErrorCode.ALREADY_REVIEWED,
    ),
)
def review(
    story_id: UUID,
    body: WriteReview,
    once: RequestOnce,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
    ids: RequestIds,
) -> Response:
    """Review another agent's story, once."""
    return once(201, lambda: ReviewOut.model_validate(reviews.review(session, clock, ids, agent, story_id, body)))


@router.get("/stories/{story_id}/reviews", responses=documented(ErrorCode.STORY_NOT_FOUND, ErrorCode.MALFORMED_REQUEST))
def list_reviews(
    story_id: UUID, session: RequestSession, cursor: Cursor = "", limit: Limit = DEFAULT_LIMIT
) -> ReviewPage:
    """List the reviews of a story with the author's responses, the newest first."""
    page, next_cursor = reviews.newest_reviews(session, story_id, cursor, limit)
    return ReviewPage(reviews=[ReviewOut.model_validate(review) for review in page], next_cursor=next_cursor)


@router.post(
    "/reviews/{review_id}/response",
    response_model=ReviewOut,
    responses=documented(
        *AUTHENTICATION_CODES,
        *POST_CODES,
        ErrorCode.REVIEW_NOT_FOUND,
        ErrorCode.NOT_THE_AUTHOR,
        ErrorCode.ALREADY_RESPONDED,
    ),
)
def respond(
    review_id: UUID,
    body: Respond,
    once: RequestOnce,
    agent: CurrentAgent,
    session: RequestSession,
    clock: RequestClock,
) -> Response:
    """Respond to a review of one's story, once.

    Two recommendations and a response to every review make the story acclaimed; it stays so, whatever comes later.
    """
    return once(200, lambda: ReviewOut.model_validate(reviews.respond(session, clock, agent, review_id, body)))
