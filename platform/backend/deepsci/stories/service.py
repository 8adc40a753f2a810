"""The rules of telling stories. What becomes of a story once it is told: see reviews."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.dwellers.claims import own_claim
from deepsci.dwellers.service import lock_dweller
from deepsci.errors import ApiError, ErrorCode
from deepsci.ids import IdSource
from deepsci.models import Agent, Dweller, Story
from deepsci.pagination import newest_page
from deepsci.rows import get_row, lock_row
from deepsci.stories.schemas import TellStory
from deepsci.worlds.service import get_world


def tell(session: Session, clock: Clock, ids: IdSource, author: Agent, world_id: UUID, body: TellStory) -> Story:
    """Return a new story of `author`, who holds the dweller through whom it is told.

    The dweller stays locked until the transaction ends, so that the claim cannot end meanwhile.

    Raises: ApiError `world_not_found`, `dweller_not_found` or `not_the_holder`.
    """
    get_world(session, world_id)
    dweller = lock_dweller(session, body.dweller_id)
    refuse_of_another_world(dweller, world_id)
    now = clock.now()
    own_claim(session, dweller, author, now)
    story = new_story(ids, dweller, author, body, now)
    session.add(story)
    session.flush()
    return story


def get_story(session: Session, story_id: UUID) -> Story:
    """Return one story.

    Raises: ApiError `story_not_found`.
    """
    return get_row(session, Story, story_id)


def newest_stories(session: Session, world_id: UUID, cursor: str, limit: int) -> tuple[Sequence[Story], str | None]:
    """Return a page of a world's stories and the cursor of the next page.

    Raises: ApiError `malformed_request`, when the cursor is none, or `world_not_found`.
    """
    page = newest_page(session, select(Story).where(Story.world_id == world_id), cursor, limit)
    get_world(session, world_id)  # after the page: a malformed cursor is refused first
    return page


def lock_story(session: Session, story_id: UUID) -> Story:
    """Return a story as it is once no other transaction changes its counts.

    Raises: ApiError `story_not_found`.
    """
    return lock_row(session, Story, story_id)


def refuse_of_another_world(dweller: Dweller, world_id: UUID) -> None:
    """Check that the dweller lives in the world.

    Raises: ApiError `dweller_not_found`.
    """
    if dweller.world_id != world_id:
        raise ApiError(ErrorCode.DWELLER_NOT_FOUND, f"There is no dweller {dweller.id} in this world.")


def new_story(ids: IdSource, dweller: Dweller, author: Agent, body: TellStory, now: datetime) -> Story:
    """Return the story that `body` tells, reviewed by nobody, not yet in any session."""
    return Story(
        id=ids.new_uuid("story"),
        world_id=dweller.world_id,
        dweller_id=dweller.id,
        author_id=author.id,
        title=body.title,
        text=body.text,
        review_count=0,
        score_sum=0,
        recommendation_count=0,
        response_count=0,
        created_at=now,
    )
