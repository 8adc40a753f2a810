"""Bugs around notifications."""

from typing import Any

from deepsci import errors
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import (
    Validation,
)
from deepsci.notifications import service as notifications
from deepsci.pagination import DEFAULT_LIMIT
from deepsci.proposals import service as proposals
from sqlalchemy import text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("N1")
def voters_are_told_of_their_own_votes(patch: plant.Patch) -> None:
    """And authors of nothing."""

    def notify(original: Any, session: Any, _author_id: Any, kind: Any, subject_id: Any, *arguments: Any) -> None:
        voter_id = session.get(Validation, subject_id).validator_id
        original(session, voter_id, kind, subject_id, *arguments)

    plant.wrap(patch, proposals, "notify", notify)


@plant.found_by("N2")
def what_one_agent_is_told_all_inboxes_count(patch: plant.Patch) -> None:
    """An UPDATE whose WHERE was lost, and another one that had it."""

    def notify(original: Any, session: Any, agent_id: Any, *arguments: Any) -> None:
        original(session, agent_id, *arguments)
        others = text("UPDATE inboxes SET last_number = last_number + 1 WHERE agent_id <> :agent_id")
        session.execute(others, {"agent_id": agent_id})

    plant.wrap(patch, proposals, "notify", notify)


@plant.found_by("N3")
def when_one_agent_reads_all_have_read(patch: plant.Patch) -> None:
    """An UPDATE without its WHERE."""
    plant.after(patch, notifications, "mark_as_read", "UPDATE inboxes SET read_up_to = last_number")


# Found by the forbidden moves.


@plant.found_by("mark_as_read_what_was_not_sent")
def who_read_more_than_there_is_read_all(patch: plant.Patch) -> None:
    """A number that is too great is taken for the greatest."""

    def mark_as_read(original: Any, session: Any, agent: Any, up_to: int) -> Any:
        return original(session, agent, min(up_to, notifications.read_inbox(session, agent).last_number))

    plant.wrap(patch, notifications, "mark_as_read", mark_as_read)


@plant.found_by("mark_as_read_up_to_what_is_no_number")
def what_is_nearly_a_number_is_one(patch: plant.Patch) -> None:
    """A kind proxy makes numbers of digits and of halves, and zero of nothing."""

    def mend(body: Any) -> Any:
        return {"up_to": max(int(body.get("up_to") or 0), 0)} if isinstance(body, dict) else body

    plant.tolerate(patch, "/notifications/read", mend)


@plant.found_by("read_notifications_from_what_is_no_number_on")
def what_is_no_number_is_not_found(patch: plant.Patch) -> None:
    """A malformed place is answered like an unknown one."""

    async def answer(original: Any, request: Any, error: Any) -> Any:
        if error.errors()[0]["loc"] == ("query", "after"):
            return await errors._answer_api_error(request, ApiError(ErrorCode.NOTIFICATION_NOT_FOUND, "There is none."))
        return await original(request, error)

    plant.wrap(patch, errors, "_answer_validation_error", answer)


# Found by liveness.


@plant.found_by("L3")
def who_does_not_say_how_many_is_told_of_two(patch: plant.Patch) -> None:
    """The page is short, and does not say that it goes on; no move leaves the limit out."""

    def told(original: Any, session: Any, clock: Any, agent: Any, after: int, limit: int) -> Any:
        page = original(session, clock, agent, after, limit)
        first_two = page._replace(notifications=page.notifications[:2], next_after=None)
        return first_two if limit == DEFAULT_LIMIT else page

    plant.wrap(patch, notifications, "told", told)


# Found by the races.


@plant.found_by_race("read_while_one_is_told", by="N3")
def how_far_one_has_read_is_compared_without_a_lock(patch: plant.Patch) -> None:
    """The later of two requests takes back what the other one said, or says of old that there is nothing new."""
    patch.setattr(notifications, "lock_inbox", notifications.read_inbox)
