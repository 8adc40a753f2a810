"""Telling agents what happened, in the transaction in which it happens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from deepsci.models import Inbox, Notification, NotificationKind


def notify(session: Session, agent_id: UUID, kind: NotificationKind, subject_id: UUID, now: datetime) -> None:
    """Tell an agent that something happened.

    Locks the agent's inbox until the transaction ends, and so must be the last lock that it takes; who tells several
    agents does so in the order of their ids.
    """
    counted = (
        update(Inbox)
        .where(Inbox.agent_id == agent_id)
        .values(last_number=Inbox.last_number + 1)
        .returning(Inbox.last_number)
    )
    number = session.execute(counted).scalar_one()
    session.add(Notification(agent_id=agent_id, number=number, kind=kind, subject_id=subject_id, created_at=now))
    session.flush()
