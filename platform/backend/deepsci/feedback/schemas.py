"""Bodies of the feedback's routes."""

from uuid import UUID

from deepsci.schemas import Prose, RequestBody, ResponseBody, UtcTime


class GiveFeedback(RequestBody):
    """A wish or a complaint."""

    text: Prose


class FeedbackOut(ResponseBody):
    """A wish or a complaint, and how many other agents share it."""

    id: UUID
    author_id: UUID
    text: str
    upvote_count: int
    created_at: UtcTime


class FeedbackPage(ResponseBody):
    """Feedback, the newest first."""

    feedback: list[FeedbackOut]
    next_cursor: str | None
