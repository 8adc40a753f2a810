"""Bugs around telling, reviewing and responding."""

from datetime import timedelta
from typing import Any

from deepsci.dwellers.claims import present_claim
from deepsci.dwellers.service import lock_dweller
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import (
    Claim,
    Dweller,
    Review,
    Story,
    World,
)
from deepsci.stories import reviews
from deepsci.stories import service as stories
from sqlalchemy import select

from simulation.engine.planting import Patch, after, execute_first, found_by, found_by_race, tolerate, wrap

# Found by the invariants.


@found_by("S1")
def long_titles_are_cut(patch: Patch) -> None:
    """Ten characters are enough for anybody."""
    after(patch, stories, "tell", "UPDATE stories SET title = left(title, 10)")


# Found by the forbidden moves.


@found_by("tell_a_story_through_whom_somebody_else_holds")
def whoever_is_held_speaks_for_all(patch: Patch) -> None:
    """That the dweller is held is checked, by whom is not."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        return present_claim(session, dweller, now) or original(session, dweller, agent, now)

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_through_whom_nobody_holds")
def whoever_is_free_speaks_for_all(patch: Patch) -> None:
    """Nobody is robbed, somebody thought."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        query = select(Claim.id).where(Claim.dweller_id == dweller.id, Claim.ended_at.is_(None))
        return original(session, dweller, agent, now) if session.scalars(query).first() is not None else None

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_after_the_lapse")
def authors_have_an_hour_of_grace(patch: Patch) -> None:
    """So that a long story may be brought to its end."""

    def own_claim(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
        return original(session, dweller, agent, now - timedelta(hours=1))

    wrap(patch, stories, "own_claim", own_claim)


@found_by("tell_a_story_of_a_world_the_dweller_does_not_live_in")
def dwellers_know_all_worlds(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(stories, "refuse_of_another_world", lambda _dweller, _world_id: None)


@found_by("tell_a_story_through_an_unknown_dweller")
def who_is_not_there_is_not_held(patch: Patch) -> None:
    """An unknown dweller is answered like a foreign one."""

    def lock_dweller(original: Any, session: Any, dweller_id: Any) -> Any:
        if session.get(Dweller, dweller_id) is None:
            raise ApiError(ErrorCode.NOT_THE_HOLDER, "You do not hold this dweller. Claim it first.")
        return original(session, dweller_id)

    wrap(patch, stories, "lock_dweller", lock_dweller)


@found_by("tell_a_story_of_an_unknown_world")
def dwellers_are_looked_for_before_their_worlds(patch: Patch) -> None:
    """The refusals come in another order."""

    def tell(original: Any, session: Any, clock: Any, ids: Any, author: Any, world_id: Any, body: Any) -> Any:
        stories.refuse_of_another_world(lock_dweller(session, body.dweller_id), world_id)
        return original(session, clock, ids, author, world_id, body)

    wrap(patch, stories, "tell", tell)


@found_by("tell_a_malformed_story")
def stories_are_mended(patch: Patch) -> None:
    """A kind proxy shortens what is too long, and finds a title for what has none."""

    def mend(body: Any) -> Any:
        if not isinstance(body, dict) or not isinstance(body["text"], str):
            return body
        title = body.get("title", "").replace("\x00", "").strip()
        return body | {"title": title[:200] or "Untitled", "text": body["text"][:20_000]}

    tolerate(patch, "/stories", mend)


@found_by("read_an_unknown_story")
def an_unknown_id_leads_to_the_newest_story(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_story(original: Any, session: Any, story_id: Any) -> Any:
        newest = session.scalars(select(Story.id).order_by(Story.created_at.desc(), Story.id).limit(1)).first()
        return original(session, story_id if newest is None or session.get(Story, story_id) else newest)

    wrap(patch, stories, "get_story", get_story)


@found_by("list_the_stories_of_an_unknown_world")
def of_no_world_there_are_no_stories(patch: Patch) -> None:
    """Nothing was found, so the list is empty."""

    def newest_stories(original: Any, session: Any, world_id: Any, *page: Any) -> Any:
        return original(session, world_id, *page) if session.get(World, world_id) is not None else ([], None)

    wrap(patch, stories, "newest_stories", newest_stories)


# Found by the invariants.


@found_by("S2")
def a_later_review_overwrites_the_texts_of_the_earlier(patch: Patch) -> None:
    """An UPDATE with half of its WHERE."""
    after(
        patch,
        reviews,
        "review",
        "UPDATE reviews SET text = latest.text "
        "FROM (SELECT story_id, text FROM reviews ORDER BY created_at DESC, id LIMIT 1) latest "
        "WHERE reviews.story_id = latest.story_id",
    )


@found_by("S3")
def a_retried_review_is_there_twice(patch: Patch) -> None:
    """The constraint was lost in a migration, and the retry did not look."""
    execute_first(patch, "ALTER TABLE reviews DROP CONSTRAINT uq_reviews_story_id_reviewer_id")
    after(
        patch,
        reviews,
        "review",
        "INSERT INTO reviews (id, story_id, reviewer_id, score, recommends, text, created_at) "
        "SELECT gen_random_uuid(), story_id, reviewer_id, score, recommends, text, created_at "
        "FROM reviews ORDER BY created_at DESC, id LIMIT 1",
    )


@found_by("S4")
def authors_get_a_review_of_their_own(patch: Patch) -> None:
    """For the record, in the wrong table, and not counted."""
    after(
        patch,
        reviews,
        "review",
        "INSERT INTO reviews (id, story_id, reviewer_id, score, recommends, text, created_at) "
        "SELECT gen_random_uuid(), id, author_id, 5, true, 'Mine.', created_at FROM stories ON CONFLICT DO NOTHING",
    )


@found_by("S5")
def only_the_first_score_is_added(patch: Patch) -> None:
    """Those after it count as one each."""
    after(patch, reviews, "review", "UPDATE stories SET score_sum = review_count WHERE review_count > 1")


@found_by("S6")
def another_review_takes_the_acclaim_away(patch: Patch) -> None:
    """Acclaim is taken for what is so, not for what was once earned."""
    after(patch, reviews, "review", "UPDATE stories SET acclaimed_at = NULL WHERE response_count < review_count")


@found_by("S7")
def a_later_response_overwrites_the_earlier(patch: Patch) -> None:
    """Another UPDATE with half of its WHERE."""
    after(
        patch,
        reviews,
        "respond",
        "UPDATE reviews SET response = latest.response "
        "FROM (SELECT story_id, response FROM reviews WHERE responded_at IS NOT NULL "
        "ORDER BY responded_at DESC, id LIMIT 1) latest "
        "WHERE reviews.story_id = latest.story_id AND reviews.response IS NOT NULL",
    )


# Found by the forbidden moves.


@found_by("review_ones_own_story")
def authors_may_review(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(reviews, "refuse_own_story", lambda _story, _reviewer: None)


@found_by("review_a_story_a_second_time")
def the_constraint_on_reviews_was_lost(patch: Patch) -> None:
    """Nothing but the constraint stands between an agent and its second review."""
    execute_first(patch, "ALTER TABLE reviews DROP CONSTRAINT uq_reviews_story_id_reviewer_id")


@found_by("review_an_unknown_story")
def reviews_of_nothing_are_ones_own(patch: Patch) -> None:
    """An unknown story is answered like the agent's own."""

    def review(original: Any, session: Any, clock: Any, ids: Any, agent: Any, story_id: Any, body: Any) -> Any:
        if session.get(Story, story_id) is None:
            raise ApiError(ErrorCode.OWN_STORY, "An agent cannot review its own story.")
        return original(session, clock, ids, agent, story_id, body)

    wrap(patch, reviews, "review", review)


@found_by("review_a_story_in_a_malformed_way")
def scores_are_mended(patch: Patch) -> None:
    """A kind proxy makes numbers of digits and brings them into range."""

    def mend(body: Any) -> Any:
        if not isinstance(body, dict) or "score" not in body:
            return body
        return body | {"score": min(max(int(float(body["score"])), 1), 5)}

    tolerate(patch, "/reviews", mend)


@found_by("list_the_reviews_of_an_unknown_story")
def of_no_story_there_are_no_reviews(patch: Patch) -> None:
    """Nothing was found, so the list is empty."""

    def newest_reviews(original: Any, session: Any, story_id: Any, *page: Any) -> Any:
        return original(session, story_id, *page) if session.get(Story, story_id) is not None else ([], None)

    wrap(patch, reviews, "newest_reviews", newest_reviews)


@found_by("respond_for_somebody_else")
def anybody_may_respond(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(reviews, "refuse_unless_author", lambda _story, _agent: None)


@found_by("respond_a_second_time")
def responding_again_is_taken_for_a_retry(patch: Patch) -> None:
    """What is there already is the answer."""

    def respond(original: Any, session: Any, clock: Any, agent: Any, review_id: Any, body: Any) -> Any:
        review = session.get(Review, review_id)
        if review is not None and review.responded_at is not None:
            reviews.refuse_unless_author(session.get(Story, review.story_id), agent)
            return review
        return original(session, clock, agent, review_id, body)

    wrap(patch, reviews, "respond", respond)


@found_by("respond_to_an_unknown_review")
def what_nobody_wrote_is_not_yours(patch: Patch) -> None:
    """An unknown review is answered like one of somebody else's story."""

    def respond(original: Any, session: Any, clock: Any, agent: Any, review_id: Any, body: Any) -> Any:
        if session.get(Review, review_id) is None:
            raise ApiError(ErrorCode.NOT_THE_AUTHOR, "Only the author of a story can respond to its reviews.")
        return original(session, clock, agent, review_id, body)

    wrap(patch, reviews, "respond", respond)


@found_by("respond_in_a_malformed_way")
def responses_are_mended(patch: Patch) -> None:
    """A kind proxy shortens what is too long, takes out what the platform does not know, and fills what is empty."""

    def mend(body: Any) -> Any:
        words = (body or {}).get("text", "").replace("\x00", "").strip()
        return {"text": words[:2000] or "No comment."}

    tolerate(patch, "/response", mend)


# Found by liveness.


@found_by("L4")
def who_was_panned_once_is_never_acclaimed(patch: Patch) -> None:
    """Enough recommendations came to mean nothing else."""

    def is_acclaimed(original: Any, story: Any) -> bool:
        return bool(original(story)) and story.recommendation_count == story.review_count

    wrap(patch, reviews, "is_acclaimed", is_acclaimed)


# Found by the races.


@found_by_race("review_one_story_at_once", by="S5")
@found_by_race("respond_to_one_storys_reviews_at_once", by="S5")
def reviews_are_counted_without_a_lock(patch: Patch) -> None:
    """One of two is lost, and no answer says so."""
    patch.setattr(reviews, "lock_story", stories.get_story)
