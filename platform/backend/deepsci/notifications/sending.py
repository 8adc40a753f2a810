"""Telling agents what happened, in the transaction in which it happens."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from deepsci.models import Inbox, Notification, NotificationKind

# Made once, as it is executed often: to make it takes as long as to execute it.
NEXT_NUMBER: Final = (
    update(Inbox)
    .where(Inbox.agent_id == bindparam("agent"))
    .values(last_number=Inbox.last_number + 1)
    .returning(Inbox.last_number)
    .execution_options(synchronize_session=False)  # who reads an inbox does so anew, whatever the session has
)


def notify(session: Session, agent_id: UUID, kind: NotificationKind, subject_id: UUID, now: datetime) -> None:
    """Tell an agent that something happened.

    Locks the agent's inbox until the transaction ends, and so must be the last lock that it takes; who tells several
    agents does so in the order of their ids.
    """
    number = session.execute(NEXT_NUMBER, {"agent": agent_id}).scalar_one()
    session.add(Notification(agent_id=agent_id, number=number, kind=kind, subject_id=subject_id, created_at=now))
    session.flush()
