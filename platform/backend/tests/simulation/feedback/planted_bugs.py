"""Bugs around feedback."""

from typing import Any

from deepsci.errors import ErrorCode
from deepsci.feedback import service as feedback
from deepsci.models import Feedback

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("F1")
def long_feedback_is_cut(patch: plant.Patch) -> None:
    """Ten characters are enough for anybody."""
    plant.after(patch, feedback, "give", "UPDATE feedback SET text = left(text, 10)")


@plant.followed("F2", feedback, "upvote", lost="ALTER TABLE upvotes DROP CONSTRAINT pk_upvotes")
def a_retried_upvote_is_there_twice() -> str:
    """The key was lost in a migration, and the retry did not look."""
    return (
        "INSERT INTO upvotes "
        "SELECT feedback_id, agent_id, created_at FROM upvotes ORDER BY created_at DESC, agent_id LIMIT 1"
    )


@plant.followed("F3", feedback, "give")
def authors_agree_with_themselves() -> str:
    """Feedback gets an upvote of its author, which is not counted."""
    return "INSERT INTO upvotes SELECT id, author_id, created_at FROM feedback ON CONFLICT DO NOTHING"


@plant.found_by("F4")
def the_count_of_upvotes_ends_at_one(patch: plant.Patch) -> None:
    """What was meant to be a count became a mark; the answer shows what was meant."""
    plant.after(patch, feedback, "upvote", "UPDATE feedback SET upvote_count = 1 WHERE upvote_count > 1")


# Found by the forbidden moves.


@plant.mending("give_malformed_feedback", "/feedback")
def feedback_is_mended(body: Any) -> Any:
    """A kind proxy shortens what is too long, takes out what the platform does not know, and makes text of anything."""
    words = str((body or {}).get("text", "")).replace("\x00", "").strip()
    return {"text": words[:2000] or "Nothing."}


# Bugs that say all by their names.

plant.bug("upvote_ones_own_feedback", "authors_may_upvote", plant.left_out(feedback, "refuse_own_feedback"))
# Nothing but the key of the table stands between an agent and its second upvote.
plant.bug(
    "upvote_feedback_a_second_time",
    "the_constraint_on_upvotes_was_lost",
    plant.lost("ALTER TABLE upvotes DROP CONSTRAINT pk_upvotes"),
)
# Unknown feedback is answered like the agent's own.
plant.bug(
    "upvote_unknown_feedback",
    "what_is_not_there_is_ones_own",
    plant.unknown_answered_as(feedback, "upvote", Feedback, ErrorCode.OWN_FEEDBACK),
)
# A default that wanted to be helpful.
plant.bug(
    "read_unknown_feedback",
    "an_unknown_id_leads_to_the_newest_feedback",
    plant.unknown_taken_for_newest(feedback, "get_feedback", Feedback),
)


# Found by the races.


@plant.found_by_race("upvote_one_feedback_at_once")
def upvotes_are_counted_without_a_lock(patch: plant.Patch) -> None:
    """One of two is lost."""
    patch.setattr(feedback, "lock_feedback", feedback.get_feedback)
