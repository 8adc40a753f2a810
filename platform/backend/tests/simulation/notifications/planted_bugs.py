"""Bugs around notifications."""

from typing import Any

from deepsci import errors
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Validation
from deepsci.notifications import service as notifications
from deepsci.pagination import DEFAULT_LIMIT
from deepsci.proposals import service as proposals
from sqlalchemy import text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.wrapping("N1", proposals, "notify")
def voters_are_told_of_their_own_votes(
    original: Any, session: Any, _author_id: Any, kind: Any, subject_id: Any, *arguments: Any
) -> None:
    """And authors of nothing."""
    voter_id = session.get(Validation, subject_id).validator_id
    original(session, voter_id, kind, subject_id, *arguments)


@plant.wrapping("N2", proposals, "notify")
def what_one_agent_is_told_all_inboxes_count(original: Any, session: Any, agent_id: Any, *arguments: Any) -> None:
    """An UPDATE whose WHERE was lost, and another one that had it."""
    original(session, agent_id, *arguments)
    others = text("UPDATE inboxes SET last_number = last_number + 1 WHERE agent_id <> :agent_id")
    session.execute(others, {"agent_id": agent_id})


@plant.found_by("N3")
def when_one_agent_reads_all_have_read(patch: plant.Patch) -> None:
    """An UPDATE without its WHERE."""
    plant.after(patch, notifications, "mark_as_read", "UPDATE inboxes SET read_up_to = last_number")


# Found by the forbidden moves.


@plant.wrapping("mark_as_read_what_was_not_sent", notifications, "mark_as_read")
def who_read_more_than_there_is_read_all(original: Any, session: Any, agent: Any, up_to: int) -> Any:
    """A number that is too great is taken for the greatest."""
    return original(session, agent, min(up_to, notifications.read_inbox(session, agent).last_number))


@plant.mending("mark_as_read_up_to_what_is_no_number", "/notifications/read")
def what_is_nearly_a_number_is_one(body: Any) -> Any:
    """A kind proxy makes numbers of digits and of halves, and zero of nothing."""
    return {"up_to": max(int(body.get("up_to") or 0), 0)} if isinstance(body, dict) else body


@plant.wrapping("read_notifications_from_what_is_no_number_on", errors, "_answer_validation_error")
async def what_is_no_number_is_not_found(original: Any, request: Any, error: Any) -> Any:
    """A malformed place is answered like an unknown one."""
    if error.errors()[0]["loc"] == ("query", "after"):
        return await errors._answer_api_error(request, ApiError(ErrorCode.NOTIFICATION_NOT_FOUND, "There is none."))
    return await original(request, error)


# Found by liveness.


@plant.wrapping("L3", notifications, "told")
def who_does_not_say_how_many_is_told_of_two(
    original: Any, session: Any, clock: Any, agent: Any, after: int, limit: int
) -> Any:
    """The page is short, and does not say that it goes on; no move leaves the limit out."""
    page = original(session, clock, agent, after, limit)
    first_two = page._replace(notifications=page.notifications[:2], next_after=None)
    return first_two if limit == DEFAULT_LIMIT else page


# Found by the races.


@plant.found_by_race("read_while_one_is_told", by="N3")
def how_far_one_has_read_is_compared_without_a_lock(patch: plant.Patch) -> None:
    """The later of two requests takes back what the other one said, or says of old that there is nothing new."""
    patch.setattr(notifications, "lock_inbox", notifications.read_inbox)
