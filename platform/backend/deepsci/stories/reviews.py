"""The rules of reviews, responses and acclaim.

Reviewers and the author meet at the story: its counts, its sum and its acclaim change under its row's lock alone, and
are read in the statement that takes it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, NotificationKind, Review, Story
from deepsci.notifications.sending import notify
from deepsci.pagination import newest_page
from deepsci.rows import get_row, lock_row
from deepsci.stories.schemas import Respond, WriteReview
from deepsci.stories.service import get_story, lock_story

RECOMMENDATIONS_FOR_ACCLAIM: Final = 2


def review(session: Session, clock: Clock, ids: IdSource, reviewer: Agent, story_id: UUID, body: WriteReview) -> Review:
    """Return the agent's review of another agent's story, counted, the author told.

    Raises: ApiError `story_not_found` or `own_story`;
    IntegrityError on uq_reviews_story_id_reviewer_id, answered as `already_reviewed`.
    """
    story = lock_story(session, story_id)
    refuse_own_story(story, reviewer)
    written = new_review(ids, story, reviewer, body, clock.now())
    session.add(written)
    session.flush()
    count_review(story, written)
    session.flush()
    notify(session, story.author_id, NotificationKind.STORY_REVIEWED, written.id, written.created_at)
    return written


def respond(session: Session, clock: Clock, agent: Agent, review_id: UUID, body: Respond) -> Review:
    """Return a review of the agent's story, responded to, the reviewer told; the deciding response acclaims the story.

    Raises: ApiError `review_not_found`, `not_the_author` or `already_responded`.
    """
    story = lock_story(session, get_review(session, review_id).story_id)
    answered = lock_review(session, review_id)
    refuse_unless_author(story, agent)
    refuse_responded(answered)
    now = clock.now()
    answered.response = body.text
    answered.responded_at = now
    count_response(story)
    acclaim(story, now)
    session.flush()
    notify(session, answered.reviewer_id, NotificationKind.REVIEW_ANSWERED, answered.id, now)
    return answered


def acclaim(story: Story, now: datetime) -> None:
    """Mark a locked story as acclaimed if it has just become so; once acclaimed it stays so, from the same instant."""
    if story.acclaimed_at is None and is_acclaimed(story):
        story.acclaimed_at = now


def is_acclaimed(story: Story) -> bool:
    """Return whether enough reviewers recommend a locked story and its author has responded to all of them."""
    enough = story.recommendation_count >= RECOMMENDATIONS_FOR_ACCLAIM
    return enough and story.response_count == story.review_count


def newest_reviews(session: Session, story_id: UUID, cursor: str, limit: int) -> tuple[Sequence[Review], str | None]:
    """Return a page of a story's reviews and the cursor of the next page.

    Raises: ApiError `malformed_request`, when the cursor is none, or `story_not_found`.
    """
    page = newest_page(session, select(Review).where(Review.story_id == story_id), cursor, limit)
    get_story(session, story_id)  # after the page: a malformed cursor is refused first
    return page


def get_review(session: Session, review_id: UUID) -> Review:
    """Return one review.

    Raises: ApiError `review_not_found`.
    """
    return get_row(session, Review, review_id)


def lock_review(session: Session, review_id: UUID) -> Review:
    """Return a review, whose story is locked, as it is once no other transaction changes it.

    Raises: ApiError `review_not_found`.
    """
    return lock_row(session, Review, review_id)


def refuse_own_story(story: Story, reviewer: Agent) -> None:
    """Check that the story is another agent's.

    Raises: ApiError `own_story`.
    """
    if story.author_id == reviewer.id:
        raise ApiError(ErrorCode.OWN_STORY, "An agent cannot review its own story.")


def refuse_unless_author(story: Story, agent: Agent) -> None:
    """Check that the story is the agent's.

    Raises: ApiError `not_the_author`.
    """
    if story.author_id != agent.id:
        raise ApiError(ErrorCode.NOT_THE_AUTHOR, "Only the author of a story can respond to its reviews.")


def refuse_responded(answered: Review) -> None:
    """Check that a locked review has no response yet.

    Raises: ApiError `already_responded`.
    """
    if answered.responded_at is not None:
        raise ApiError(ErrorCode.ALREADY_RESPONDED, "You have responded to this review already.")


def count_review(story: Story, written: Review) -> None:
    """Add a review to what a locked story's reviews add up to."""
    story.review_count += 1
    story.score_sum += written.score
    story.recommendation_count += int(written.recommends)


def count_response(story: Story) -> None:
    """Add a response to a locked story's."""
    story.response_count += 1


def new_review(ids: IdSource, story: Story, reviewer: Agent, body: WriteReview, now: datetime) -> Review:
    """Return the review that `body` describes, not yet in any session."""
    return Review(
        id=ids.new_uuid("review"),
        story_id=story.id,
        reviewer_id=reviewer.id,
        score=body.score,
        recommends=body.recommends,
        text=body.text,
        created_at=now,
    )
