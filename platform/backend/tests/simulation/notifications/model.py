"""The model of notifications."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock

from simulation.agents.model import Agent, AgentModel
from simulation.engine.model import Refusal, as_json


@dataclass(frozen=True)
class Notification:
    """One thing that an agent is told."""

    number: int
    kind: str
    subject_id: str
    created_at: datetime


class Reading(NamedTuple):
    """An agent, and the number up to which or from which it reads."""

    agent: str
    number: int


class NotificationModel(AgentModel):
    """The notifications of each agent, in order, and the number up to which it has read; both by username."""

    STORED_TIMES = frozenset({("notifications", "created_at", "agent_id", "number")})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.notifications: dict[str, list[Notification]] = {}
        self.read_up_to: dict[str, int] = {}

    def times(self) -> dict[tuple[str, str], datetime]:
        """Agents are told."""
        return super().times() | {
            ("notifications.created_at", f"{self.agents[name].id} {notification.number}"): notification.created_at
            for name, notifications in self.notifications.items()
            for notification in notifications
        }

    # What happened.

    def registered(self, agent: Agent) -> None:
        """A new agent has an empty inbox."""
        super().registered(agent)
        self.notifications[agent.username] = []
        self.read_up_to[agent.username] = 0

    def notified(self, recipient: str, kind: str, subject_id: str) -> None:
        """An agent is told of something now."""
        told = self.notifications[recipient]
        told.append(Notification(len(told) + 1, kind, subject_id, self.now()))

    def marked_as_read(self, agent: str, up_to: int) -> None:
        """An agent has read up to a number, if it had not read further before."""
        self.read_up_to[agent] = max(self.read_up_to[agent], up_to)

    def settle_lapsed(self, agent: str) -> None:
        """An agent looks at its notifications, and is told first what has lapsed; by itself nothing does."""

    def refusal_of_a_reading(self, reading: Reading) -> Refusal | None:
        """Predict whether an agent may say that it has read up to a number."""
        return Refusal(404, "notification_not_found") if reading.number > self.last_number(reading.agent) else None

    # What the platform must answer.

    def last_number(self, agent: str) -> int:
        """Return how many notifications an agent was sent."""
        return len(self.notifications[agent])

    def reading_body(self, agent: str) -> dict[str, int]:
        """Predict how far an agent has read."""
        read_up_to = self.read_up_to[agent]
        return {"read_up_to": read_up_to, "unread": self.last_number(agent) - read_up_to}

    def notification_bodies(self, agent: str) -> list[dict[str, Any]]:
        """Predict what an agent reads in its inbox."""
        return [
            {
                "number": notification.number,
                "kind": notification.kind,
                "subject_id": notification.subject_id,
                "created_at": as_json(notification.created_at),
            }
            for notification in self.notifications[agent]
        ]
