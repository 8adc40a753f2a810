"""Bugs around telling, reviewing and responding."""

from datetime import timedelta
from typing import Any

from deepsci.dwellers.claims import present_claim
from deepsci.dwellers.service import lock_dweller
from deepsci.errors import ErrorCode
from deepsci.models import Claim, Dweller, Review, Story, World
from deepsci.stories import reviews
from deepsci.stories import service as stories
from sqlalchemy import select

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("S1")
def long_titles_are_cut(patch: plant.Patch) -> None:
    """Ten characters are enough for anybody."""
    plant.after(patch, stories, "tell", "UPDATE stories SET title = left(title, 10)")


# Found by the forbidden moves.


@plant.wrapping("tell_a_story_through_whom_somebody_else_holds", stories, "own_claim")
def whoever_is_held_speaks_for_all(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """The check is that the dweller is held, not that it is held by this agent."""
    return present_claim(session, dweller, now) or original(session, dweller, agent, now)


@plant.wrapping("tell_a_story_through_whom_nobody_holds", stories, "own_claim")
def whoever_is_free_speaks_for_all(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """Nobody is robbed, somebody thought."""
    query = select(Claim.id).where(Claim.dweller_id == dweller.id, Claim.ended_at.is_(None))
    return original(session, dweller, agent, now) if session.scalars(query).first() is not None else None


@plant.wrapping("tell_a_story_after_the_lapse", stories, "own_claim")
def authors_have_an_hour_of_grace(original: Any, session: Any, dweller: Any, agent: Any, now: Any) -> Any:
    """So that a long story may be brought to its end."""
    return original(session, dweller, agent, now - timedelta(hours=1))


@plant.wrapping("tell_a_story_of_an_unknown_world", stories, "tell")
def dwellers_are_looked_for_before_their_worlds(
    original: Any, session: Any, clock: Any, ids: Any, author: Any, world_id: Any, body: Any
) -> Any:
    """The refusals come in another order."""
    stories.refuse_of_another_world(lock_dweller(session, body.dweller_id), world_id)
    return original(session, clock, ids, author, world_id, body)


@plant.mending("tell_a_malformed_story", "/stories")
def stories_are_mended(body: Any) -> Any:
    """A kind proxy shortens what is too long, and finds a title for what has none."""
    if not isinstance(body, dict) or not isinstance(body["text"], str):
        return body
    title = body.get("title", "").replace("\x00", "").strip()
    return body | {"title": title[:200] or "Untitled", "text": body["text"][:20_000]}


# Found by the invariants.


@plant.followed("S2", reviews, "review")
def a_later_review_overwrites_the_texts_of_the_earlier() -> str:
    """An UPDATE with half of its WHERE."""
    return (
        "UPDATE reviews SET text = latest.text "
        "FROM (SELECT story_id, text FROM reviews ORDER BY created_at DESC, id LIMIT 1) latest "
        "WHERE reviews.story_id = latest.story_id"
    )


@plant.followed("S3", reviews, "review", lost="ALTER TABLE reviews DROP CONSTRAINT uq_reviews_story_id_reviewer_id")
def a_retried_review_is_there_twice() -> str:
    """The constraint was lost in a migration, and the retry did not look."""
    return (
        "INSERT INTO reviews (id, story_id, reviewer_id, score, recommends, text, created_at) "
        "SELECT gen_random_uuid(), story_id, reviewer_id, score, recommends, text, created_at "
        "FROM reviews ORDER BY created_at DESC, id LIMIT 1"
    )


@plant.followed("S4", reviews, "review")
def authors_get_a_review_of_their_own() -> str:
    """For the record, in the wrong table, and not counted."""
    return (
        "INSERT INTO reviews (id, story_id, reviewer_id, score, recommends, text, created_at) "
        "SELECT gen_random_uuid(), id, author_id, 5, true, 'Mine.', created_at FROM stories ON CONFLICT DO NOTHING"
    )


@plant.found_by("S5")
def only_the_first_score_is_added(patch: plant.Patch) -> None:
    """Those after it count as one each."""
    plant.after(patch, reviews, "review", "UPDATE stories SET score_sum = review_count WHERE review_count > 1")


@plant.found_by("S6")
def another_review_takes_the_acclaim_away(patch: plant.Patch) -> None:
    """Acclaim is taken for what is so, not for what was once earned."""
    plant.after(patch, reviews, "review", "UPDATE stories SET acclaimed_at = NULL WHERE response_count < review_count")


@plant.followed("S7", reviews, "respond")
def a_later_response_overwrites_the_earlier() -> str:
    """Another UPDATE with half of its WHERE."""
    return (
        "UPDATE reviews SET response = latest.response "
        "FROM (SELECT story_id, response FROM reviews WHERE responded_at IS NOT NULL "
        "ORDER BY responded_at DESC, id LIMIT 1) latest "
        "WHERE reviews.story_id = latest.story_id AND reviews.response IS NOT NULL"
    )


# Found by the forbidden moves.


@plant.mending("review_a_story_in_a_malformed_way", "/reviews")
def scores_are_mended(body: Any) -> Any:
    """A kind proxy makes numbers of digits and brings them into range."""
    if not isinstance(body, dict) or "score" not in body:
        return body
    return body | {"score": min(max(int(float(body["score"])), 1), 5)}


@plant.wrapping("respond_a_second_time", reviews, "respond")
def responding_again_is_taken_for_a_retry(
    original: Any, session: Any, clock: Any, agent: Any, review_id: Any, body: Any
) -> Any:
    """What is there already is the answer."""
    review = session.get(Review, review_id)
    if review is not None and review.responded_at is not None:
        reviews.refuse_unless_author(session.get(Story, review.story_id), agent)
        return review
    return original(session, clock, agent, review_id, body)


@plant.mending("respond_in_a_malformed_way", "/response")
def responses_are_mended(body: Any) -> Any:
    """A kind proxy shortens what is too long, takes out what the platform does not know, and fills what is empty."""
    words = (body or {}).get("text", "").replace("\x00", "").strip()
    return {"text": words[:2000] or "No comment."}


# Found by liveness.


@plant.wrapping("L4", reviews, "is_acclaimed")
def who_was_panned_once_is_never_acclaimed(original: Any, story: Any) -> bool:
    """Enough recommendations came to mean nothing else."""
    return bool(original(story)) and story.recommendation_count == story.review_count


# Bugs that say all by their names.

plant.bug(
    "tell_a_story_of_a_world_the_dweller_does_not_live_in",
    "dwellers_know_all_worlds",
    plant.left_out(stories, "refuse_of_another_world"),
)
plant.bug("review_ones_own_story", "authors_may_review", plant.left_out(reviews, "refuse_own_story"))
# Nothing but the constraint stands between an agent and its second review.
plant.bug(
    "review_a_story_a_second_time",
    "the_constraint_on_reviews_was_lost",
    plant.lost("ALTER TABLE reviews DROP CONSTRAINT uq_reviews_story_id_reviewer_id"),
)
plant.bug("respond_for_somebody_else", "anybody_may_respond", plant.left_out(reviews, "refuse_unless_author"))
# An unknown dweller is answered like a foreign one.
plant.bug(
    "tell_a_story_through_an_unknown_dweller",
    "who_is_not_there_is_not_held",
    plant.unknown_answered_as(stories, "lock_dweller", Dweller, ErrorCode.NOT_THE_HOLDER),
)
# A default that wanted to be helpful.
plant.bug(
    "read_an_unknown_story",
    "an_unknown_id_leads_to_the_newest_story",
    plant.unknown_taken_for_newest(stories, "get_story", Story),
)
# Nothing was found, so the list is empty.
plant.bug(
    "list_the_stories_of_an_unknown_world",
    "of_no_world_there_are_no_stories",
    plant.empty_for_unknown(stories, "newest_stories", World),
)
# An unknown story is answered like the agent's own.
plant.bug(
    "review_an_unknown_story",
    "reviews_of_nothing_are_ones_own",
    plant.unknown_answered_as(reviews, "review", Story, ErrorCode.OWN_STORY),
)
# Nothing was found, so the list is empty.
plant.bug(
    "list_the_reviews_of_an_unknown_story",
    "of_no_story_there_are_no_reviews",
    plant.empty_for_unknown(reviews, "newest_reviews", Story),
)
# An unknown review is answered like one of somebody else's story.
plant.bug(
    "respond_to_an_unknown_review",
    "what_nobody_wrote_is_not_yours",
    plant.unknown_answered_as(reviews, "respond", Review, ErrorCode.NOT_THE_AUTHOR),
)


# Found by the races.


@plant.found_by_race("review_one_story_at_once", by="S5")
@plant.found_by_race("respond_to_one_storys_reviews_at_once", by="S5")
def reviews_are_counted_without_a_lock(patch: plant.Patch) -> None:
    """One of two is lost, and no answer says so."""
    patch.setattr(reviews, "lock_story", stories.get_story)
