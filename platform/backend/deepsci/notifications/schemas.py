"""Bodies of the notifications' routes."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from deepsci.models import Inbox, NotificationKind
from deepsci.schemas import RequestBody, ResponseBody, UtcTime


class NotificationOut(ResponseBody):
    """One thing that an agent is told; the subject is a validation, a review or a claim, as the kind says."""

    number: int
    kind: NotificationKind
    subject_id: UUID
    created_at: UtcTime


class Reading(ResponseBody):
    """How far an agent has read, and how much is left."""

    read_up_to: int
    unread: int

    @classmethod
    def of(cls, inbox: Inbox) -> Self:
        """Return how far an inbox was read."""
        return cls(read_up_to=inbox.read_up_to, unread=inbox.last_number - inbox.read_up_to)


class NotificationPage(Reading):
    """What an agent was told, the oldest first, and how far it has read."""

    notifications: list[NotificationOut]
    next_after: int | None


class MarkAsRead(RequestBody):
    """The number of the last notification that was read."""

    up_to: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
