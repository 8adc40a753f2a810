"""Bugs around feedback."""

from typing import Any

from deepsci.errors import ApiError, ErrorCode
from deepsci.feedback import service as feedback
from deepsci.models import (
    Feedback,
)
from sqlalchemy import select

from simulation.engine.planting import Patch, after, execute_first, found_by, found_by_race, tolerate, wrap

# Found by the invariants.


@found_by("F1")
def long_feedback_is_cut(patch: Patch) -> None:
    """Ten characters are enough for anybody."""
    after(patch, feedback, "give", "UPDATE feedback SET text = left(text, 10)")


@found_by("F2")
def a_retried_upvote_is_there_twice(patch: Patch) -> None:
    """The key was lost in a migration, and the retry did not look."""
    execute_first(patch, "ALTER TABLE upvotes DROP CONSTRAINT pk_upvotes")
    after(
        patch,
        feedback,
        "upvote",
        "INSERT INTO upvotes "
        "SELECT feedback_id, agent_id, created_at FROM upvotes ORDER BY created_at DESC, agent_id LIMIT 1",
    )


@found_by("F3")
def authors_agree_with_themselves(patch: Patch) -> None:
    """Whoever says something means it, and is not counted."""
    after(
        patch,
        feedback,
        "give",
        "INSERT INTO upvotes SELECT id, author_id, created_at FROM feedback ON CONFLICT DO NOTHING",
    )


@found_by("F4")
def the_count_of_upvotes_ends_at_one(patch: Patch) -> None:
    """What was meant to be a count became a mark; the answer shows what was meant."""
    after(patch, feedback, "upvote", "UPDATE feedback SET upvote_count = 1 WHERE upvote_count > 1")


# Found by the forbidden moves.


@found_by("give_malformed_feedback")
def feedback_is_mended(patch: Patch) -> None:
    """A kind proxy shortens what is too long, takes out what the platform does not know, and makes text of anything."""

    def mend(body: Any) -> Any:
        words = str((body or {}).get("text", "")).replace("\x00", "").strip()
        return {"text": words[:2000] or "Nothing."}

    tolerate(patch, "/feedback", mend)


@found_by("upvote_ones_own_feedback")
def authors_may_upvote(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(feedback, "refuse_own_feedback", lambda _feedback, _agent: None)


@found_by("upvote_feedback_a_second_time")
def the_constraint_on_upvotes_was_lost(patch: Patch) -> None:
    """Nothing but the key of the table stands between an agent and its second upvote."""
    execute_first(patch, "ALTER TABLE upvotes DROP CONSTRAINT pk_upvotes")


@found_by("upvote_unknown_feedback")
def what_is_not_there_is_ones_own(patch: Patch) -> None:
    """Unknown feedback is answered like the agent's own."""

    def upvote(original: Any, session: Any, clock: Any, agent: Any, feedback_id: Any) -> Any:
        if session.get(Feedback, feedback_id) is None:
            raise ApiError(ErrorCode.OWN_FEEDBACK, "An agent cannot upvote its own feedback.")
        return original(session, clock, agent, feedback_id)

    wrap(patch, feedback, "upvote", upvote)


@found_by("read_unknown_feedback")
def an_unknown_id_leads_to_the_newest_feedback(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_feedback(original: Any, session: Any, feedback_id: Any) -> Any:
        newest = session.scalars(select(Feedback).order_by(Feedback.created_at.desc(), Feedback.id).limit(1)).first()
        return session.get(Feedback, feedback_id) or newest or original(session, feedback_id)

    wrap(patch, feedback, "get_feedback", get_feedback)


# Found by the races.


@found_by_race("upvote_one_feedback_at_once")
def upvotes_are_counted_without_a_lock(patch: Patch) -> None:
    """One of two is lost."""
    patch.setattr(feedback, "lock_feedback", feedback.get_feedback)
