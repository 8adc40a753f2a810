"""The rules of inboxes. What is put into them is told where it happens; see `sending`."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.dwellers.claims import settle_lapsed
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Agent, Inbox, Notification
from deepsci.pagination import numbered_page


class Page(NamedTuple):
    """Some notifications in order, what `after` is for the next ones, and the inbox as it was with them."""

    notifications: Sequence[Notification]
    next_after: int | None
    inbox: Inbox


def told(session: Session, clock: Clock, agent: Agent, after: int, limit: int) -> Page:
    """Return a page of what the agent was told, the lapse of its own claims until now included."""
    settle_lapsed(session, clock.now(), agent_id=agent.id)
    inbox = read_inbox(session, agent)
    # Not what is sent between the two statements: the inbox would not count it.
    sent = select(Notification).where(Notification.agent_id == agent.id, Notification.number <= inbox.last_number)
    return Page(*numbered_page(session, sent, after, limit), inbox)


def mark_as_read(session: Session, agent: Agent, up_to: int) -> Inbox:
    """Return the agent's inbox, read at least up to a number.

    Raises: ApiError `notification_not_found`.
    """
    inbox = lock_inbox(session, agent)
    refuse_unsent(inbox, up_to)
    inbox.read_up_to = max(inbox.read_up_to, up_to)
    session.flush()
    return inbox


def read_inbox(session: Session, agent: Agent) -> Inbox:
    """Return the agent's inbox as it is now."""
    return session.get_one(Inbox, agent.id, populate_existing=True)


def lock_inbox(session: Session, agent: Agent) -> Inbox:
    """Return the agent's inbox as it is once no other transaction sends to it or reads up to a number."""
    return session.get_one(Inbox, agent.id, populate_existing=True, with_for_update={"key_share": True})


def refuse_unsent(inbox: Inbox, up_to: int) -> None:
    """Check that there is a notification of this number, or that it is 0.

    Raises: ApiError `notification_not_found`.
    """
    if up_to > inbox.last_number:
        raise ApiError(ErrorCode.NOTIFICATION_NOT_FOUND, f"You were sent {inbox.last_number} notifications so far.")
