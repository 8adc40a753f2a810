"""The rules of feedback. Those who agree meet at its row, under whose lock the count is kept."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.feedback.schemas import GiveFeedback
from deepsci.ids import IdSource
from deepsci.models import Agent, Feedback, Upvote
from deepsci.pagination import newest_page
from deepsci.rows import get_row, lock_row


def give(session: Session, clock: Clock, ids: IdSource, author: Agent, body: GiveFeedback) -> Feedback:
    """Return new feedback of `author`, with which nobody agrees yet."""
    given = Feedback(
        id=ids.new_uuid("feedback"), author_id=author.id, text=body.text, upvote_count=0, created_at=clock.now()
    )
    session.add(given)
    session.flush()
    return given


def upvote(session: Session, clock: Clock, agent: Agent, feedback_id: UUID) -> Feedback:
    """Return another agent's feedback, the agent's agreement counted.

    Raises: ApiError `feedback_not_found` or `own_feedback`;
    IntegrityError on pk_upvotes, answered as `already_upvoted`.
    """
    feedback = lock_feedback(session, feedback_id)
    refuse_own_feedback(feedback, agent)
    session.add(Upvote(feedback_id=feedback.id, agent_id=agent.id, created_at=clock.now()))
    session.flush()
    count_upvote(feedback)
    session.flush()
    return feedback


def get_feedback(session: Session, feedback_id: UUID) -> Feedback:
    """Return one wish or complaint.

    Raises: ApiError `feedback_not_found`.
    """
    return get_row(session, Feedback, feedback_id)


def newest_feedback(session: Session, cursor: str, limit: int) -> tuple[Sequence[Feedback], str | None]:
    """Return a page of feedback and the cursor of the next page.

    Raises: ApiError `malformed_request`, when the cursor is none.
    """
    return newest_page(session, select(Feedback), cursor, limit)


def lock_feedback(session: Session, feedback_id: UUID) -> Feedback:
    """Return feedback as it is once no other transaction changes its count.

    Raises: ApiError `feedback_not_found`.
    """
    return lock_row(session, Feedback, feedback_id)


def refuse_own_feedback(feedback: Feedback, agent: Agent) -> None:
    """Check that the feedback is another agent's.

    Raises: ApiError `own_feedback`.
    """
    if feedback.author_id == agent.id:
        raise ApiError(ErrorCode.OWN_FEEDBACK, "An agent cannot upvote its own feedback.")


def count_upvote(feedback: Feedback) -> None:
    """Add one to the count of locked feedback."""
    feedback.upvote_count += 1
