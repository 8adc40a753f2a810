"""deepsci.stories.reviews."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent, Dweller, Notification, NotificationKind, Review, Story
from deepsci.stories import reviews
from deepsci.stories.schemas import Respond, WriteReview
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)
THANKS = Respond(text="Thank you.")

Register = Callable[[str], Agent]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


def opinion(score: int = 4, *, recommends: bool = True) -> WriteReview:
    """Return a review to which nobody objects."""
    return WriteReview(score=score, recommends=recommends, text="Well told.")


def counts(session: Session, story: Story) -> tuple[int, int, int, int]:
    """Return what a story's reviews add up to: reviews, scores, recommendations, responses; as it is stored."""
    session.refresh(story)
    return story.review_count, story.score_sum, story.recommendation_count, story.response_count


def told(session: Session, agent: Agent) -> list[tuple[NotificationKind, UUID]]:
    """Return what an agent was told, in order."""
    query = select(Notification).where(Notification.agent_id == agent.id).order_by(Notification.number)
    return [(notification.kind, notification.subject_id) for notification in session.scalars(query)]


@pytest.fixture
def ada(register: Register) -> Agent:
    """The author."""
    return register("ada")


@pytest.fixture
def story(ada: Agent, held_by: Callable[[Agent], Dweller], tell: Callable[[Agent, Dweller], Story]) -> Story:
    """A story of ada's."""
    return tell(ada, held_by(ada))


@pytest.fixture
def review(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, story: Story
) -> Callable[..., Review]:
    """Registers an agent that reviews the story, and commits."""

    def review(username: str, score: int = 4, *, recommends: bool = True) -> Review:
        body = opinion(score, recommends=recommends)
        written = reviews.review(session, clock, ids, register(username), story.id, body)
        session.commit()
        return written

    return review


def test_a_review_is_kept_and_counted_and_the_author_is_told(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register, ada: Agent, story: Story
) -> None:
    """It has no response yet."""
    bob = register("bob")
    clock.advance(timedelta(hours=1))
    written = reviews.review(session, clock, ids, bob, story.id, opinion(5, recommends=False))
    assert (story.id, bob.id, 5, False, "Well told.", clock.now()) == (
        written.story_id,
        written.reviewer_id,
        written.score,
        written.recommends,
        written.text,
        written.created_at,
    )
    assert (None, None) == (written.response, written.responded_at)
    assert (1, 5, 0, 0) == counts(session, story)
    assert [(NotificationKind.STORY_REVIEWED, written.id)] == told(session, ada)
    assert [] == told(session, bob)


def test_reviews_add_up(session: Session, story: Story, review: Callable[..., Review]) -> None:
    """Scores are summed, recommendations counted."""
    for name, score, recommends in (("bob", 1, False), ("cyd", 5, True), ("dee", 3, True)):
        review(name, score, recommends=recommends)
    assert (3, 9, 2, 0) == counts(session, story)


def test_nobody_reviews_their_own_story(
    session: Session, clock: SimulatedClock, ids: SeededIds, ada: Agent, story: Story
) -> None:
    """However good it is."""
    with pytest.raises(ApiError, match=r"^own_story"):
        reviews.review(session, clock, ids, ada, story.id, opinion())


def test_an_unknown_story_has_no_reviews(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Register
) -> None:
    """Neither to write nor to read; a malformed cursor is said first."""
    with pytest.raises(ApiError, match=r"^story_not_found"):
        reviews.review(session, clock, ids, register("bob"), NOTHING, opinion())
    with pytest.raises(ApiError, match=r"^story_not_found"):
        reviews.newest_reviews(session, NOTHING, "", 10)
    with pytest.raises(ApiError, match=r"^malformed_request"):
        reviews.newest_reviews(session, NOTHING, "!", 10)


def test_two_reviews_at_once_are_both_counted(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    story: Story,
    start_blocked: StartBlocked,
) -> None:
    """The second waits for the first and adds to what it left."""
    bob, cyd = register("bob"), register("cyd")
    reviews.review(session, clock, ids, bob, story.id, opinion(2))
    second = start_blocked(lambda own: reviews.review(own, clock, ids, cyd, story.id, opinion(5)))
    session.commit()
    assert second.result(timeout=10).score == 5
    assert (2, 7, 2, 0) == counts(session, story)


def test_the_same_reviewer_twice_at_once_counts_once(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    ada: Agent,
    story: Story,
    start_blocked: StartBlocked,
) -> None:
    """The constraint refuses the second, and nobody is told of it."""
    bob = register("bob")
    reviews.review(session, clock, ids, bob, story.id, opinion(2))
    second = start_blocked(lambda own: reviews.review(own, clock, ids, bob, story.id, opinion(5)))
    session.commit()
    with pytest.raises(IntegrityError, match="uq_reviews_story_id_reviewer_id"):
        second.result(timeout=10)
    assert (1, 2, 1, 0) == counts(session, story)
    assert len(told(session, ada)) == 1


def test_a_review_and_a_response_at_once_are_both_counted(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    register: Register,
    ada: Agent,
    story: Story,
    review: Callable[..., Review],
    start_blocked: StartBlocked,
) -> None:
    """The response that would have decided waits for the review, and finds that it must be responded to as well."""
    first, last = review("bob"), review("cyd")
    reviews.respond(session, clock, ada, first.id, THANKS)
    session.commit()
    reviews.review(session, clock, ids, register("dee"), story.id, opinion(1, recommends=False))
    response = start_blocked(lambda own: reviews.respond(own, clock, ada, last.id, THANKS))
    session.commit()
    assert response.result(timeout=10).responded_at == clock.now()
    assert (3, 9, 2, 2) == counts(session, story)
    assert story.acclaimed_at is None


def test_a_response_is_kept_and_counted_and_the_reviewer_is_told(
    session: Session, clock: SimulatedClock, ada: Agent, story: Story, review: Callable[..., Review]
) -> None:
    """The review itself stays as it is."""
    written = review("bob")
    clock.advance(timedelta(hours=1))
    answered = reviews.respond(session, clock, ada, written.id, THANKS)
    assert ("Thank you.", clock.now()) == (answered.response, answered.responded_at)
    assert (4, True, "Well told.") == (answered.score, answered.recommends, answered.text)
    assert (1, 4, 1, 1) == counts(session, story)
    bob = session.get_one(Agent, written.reviewer_id)
    assert [(NotificationKind.REVIEW_ANSWERED, written.id)] == told(session, bob)


def test_only_the_author_responds(
    session: Session, clock: SimulatedClock, register: Register, review: Callable[..., Review]
) -> None:
    """Not the reviewer, nor anybody else; and that is said before whether there is a response."""
    written = review("bob")
    bob, cyd = session.get_one(Agent, written.reviewer_id), register("cyd")
    for other in (bob, cyd):
        with pytest.raises(ApiError, match=r"^not_the_author"):
            reviews.respond(session, clock, other, written.id, THANKS)


def test_a_review_is_responded_to_once(
    session: Session, clock: SimulatedClock, ada: Agent, story: Story, review: Callable[..., Review]
) -> None:
    """The first response stays."""
    written = review("bob")
    reviews.respond(session, clock, ada, written.id, THANKS)
    session.commit()
    with pytest.raises(ApiError, match=r"^already_responded"):
        reviews.respond(session, clock, ada, written.id, Respond(text="Thanks again."))
    bob = session.get_one(Agent, written.reviewer_id)
    with pytest.raises(ApiError, match=r"^not_the_author"):
        reviews.respond(session, clock, bob, written.id, THANKS)
    assert written.response == "Thank you."
    assert (1, 4, 1, 1) == counts(session, story)


def test_responding_twice_at_once_responds_once(
    session: Session,
    clock: SimulatedClock,
    ada: Agent,
    story: Story,
    review: Callable[..., Review],
    start_blocked: StartBlocked,
) -> None:
    """The second finds the response of the first."""
    written = review("bob")
    reviews.respond(session, clock, ada, written.id, THANKS)
    second = start_blocked(lambda own: reviews.respond(own, clock, ada, written.id, THANKS))
    session.commit()
    with pytest.raises(ApiError, match=r"^already_responded"):
        second.result(timeout=10)
    assert (1, 4, 1, 1) == counts(session, story)


def test_two_responses_at_once_are_both_counted(
    session: Session,
    clock: SimulatedClock,
    ada: Agent,
    story: Story,
    review: Callable[..., Review],
    start_blocked: StartBlocked,
) -> None:
    """The second waits, counts the first, and acclaims the story."""
    first, second = review("bob"), review("cyd")
    reviews.respond(session, clock, ada, first.id, THANKS)
    waiting = start_blocked(lambda own: reviews.respond(own, clock, ada, second.id, THANKS))
    session.commit()
    waiting.result(timeout=10)
    assert (2, 8, 2, 2) == counts(session, story)
    assert story.acclaimed_at == clock.now()


def test_an_unknown_review_is_not_responded_to(session: Session, clock: SimulatedClock, ada: Agent) -> None:
    """An id that names nothing."""
    with pytest.raises(ApiError, match=rf"^review_not_found.*{NOTHING}"):
        reviews.respond(session, clock, ada, NOTHING, THANKS)


@pytest.mark.parametrize(
    ("recommendations", "reviews_in_all", "responses", "expected"),
    [
        (2, 2, 2, True),
        (2, 3, 3, True),
        (3, 3, 3, True),
        (1, 3, 3, False),
        (2, 3, 2, False),
        (2, 2, 0, False),
        (0, 0, 0, False),
    ],
)
def test_two_recommendations_and_a_response_to_each_review_are_acclaim(
    story: Story, recommendations: int, reviews_in_all: int, responses: int, expected: bool
) -> None:
    """Who does not recommend wants a response as well."""
    story.recommendation_count, story.review_count, story.response_count = recommendations, reviews_in_all, responses
    assert reviews.is_acclaimed(story) is expected


def test_the_deciding_response_acclaims_for_good(
    session: Session,
    clock: SimulatedClock,
    ada: Agent,
    story: Story,
    review: Callable[..., Review],
) -> None:
    """At its own instant, whatever is reviewed and responded to later."""
    written = [review("bob"), review("cyd"), review("dee", recommends=False)]
    found = []
    for each in written:
        clock.advance(timedelta(hours=1))
        reviews.respond(session, clock, ada, each.id, THANKS)
        session.commit()
        found.append(story.acclaimed_at)
    acclaimed_at = clock.now()
    assert [None, None, acclaimed_at] == found
    clock.advance(timedelta(hours=1))
    later = review("eve", 1, recommends=False)
    clock.advance(timedelta(hours=1))
    reviews.respond(session, clock, ada, later.id, THANKS)
    assert (4, 13, 2, 4) == counts(session, story)
    assert story.acclaimed_at == acclaimed_at


def test_the_reviews_of_a_story_are_listed_page_by_page(
    session: Session,
    clock: SimulatedClock,
    ada: Agent,
    story: Story,
    review: Callable[..., Review],
    held_by: Callable[[Agent], Dweller],
    tell: Callable[[Agent, Dweller], Story],
) -> None:
    """The newest first, ties by id, and none of another story."""
    tied = sorted((review(name) for name in ("bob", "cyd", "dee")), key=lambda review: review.id, reverse=True)
    clock.advance(timedelta(seconds=1))
    newest = review("eve")
    first, cursor = reviews.newest_reviews(session, story.id, "", 2)
    assert [newest, tied[0]] == first
    assert cursor is not None
    review("fay")  # what is added meanwhile moves nothing from page to page
    assert (tied[1:], None) == reviews.newest_reviews(session, story.id, cursor, 2)
    another = tell(ada, held_by(ada))
    assert ([], None) == reviews.newest_reviews(session, another.id, "", 10)
    assert session.execute(select(func.count()).select_from(Review)).scalar_one() == 5
