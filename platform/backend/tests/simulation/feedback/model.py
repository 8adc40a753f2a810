"""The model of feedback."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock

from simulation.agents.model import AgentModel
from simulation.engine.model import Refusal, Rows, as_json


@dataclass(frozen=True)
class Feedback:
    """A wish or a complaint, and when each agent that shares it said so."""

    id: str
    author: str
    text: str
    created_at: datetime
    upvotes: dict[str, datetime] = field(default_factory=dict)


class Agreement(NamedTuple):
    """An agent and feedback that it agrees with."""

    agent: str
    feedback: str


class FeedbackModel(AgentModel):
    """Feedback by name: f1, f2 …, in the order in which it was given."""

    LISTS = frozenset({"/feedback"})
    STORED_TIMES = frozenset({("upvotes", "created_at", "feedback_id", "agent_id")})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.feedback: Rows[Feedback] = self.rows("feedback", "created_at", prefix="f")

    def times(self) -> dict[tuple[str, str], datetime]:
        """Feedback is upvoted."""
        return super().times() | {
            ("upvotes.created_at", f"{given.id} {self.agents[agent].id}"): at
            for given in self.feedback.values()
            for agent, at in given.upvotes.items()
        }

    # What happened.

    def upvoted(self, agreement: Agreement) -> None:
        """An agent agrees, from now on."""
        self.feedback[agreement.feedback].upvotes[agreement.agent] = self.now()

    # What there is, and who may do what.

    def refusal_of_an_upvote(self, agreement: Agreement) -> Refusal | None:
        """Predict whether an agent may upvote another's feedback."""
        return Refusal(409, "already_upvoted") if self._has_upvoted(agreement) else None

    def agreements(self) -> list[Agreement]:
        """Return who may upvote what."""
        return [agreement for agreement in self._foreign_feedback() if not self._has_upvoted(agreement)]

    def second_agreements(self) -> list[Agreement]:
        """Return who has upvoted what already."""
        return [agreement for agreement in self._foreign_feedback() if self._has_upvoted(agreement)]

    def own_feedback(self) -> list[Agreement]:
        """Return every author with its feedback."""
        return [Agreement(given.author, name) for name, given in self.feedback.items()]

    def _foreign_feedback(self) -> list[Agreement]:
        return [
            Agreement(agent, name)
            for agent in self.agents
            for name, given in self.feedback.items()
            if given.author != agent
        ]

    def _has_upvoted(self, agreement: Agreement) -> bool:
        return agreement.agent in self.feedback[agreement.feedback].upvotes

    # What the platform must answer.

    def feedback_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about feedback."""
        given = self.feedback[name]
        return {
            "id": given.id,
            "author_id": self.agents[given.author].id,
            "text": given.text,
            "upvote_count": len(given.upvotes),
            "created_at": as_json(given.created_at),
        }

    def feedback_bodies(self) -> list[dict[str, Any]]:
        """Predict what anyone reads about all feedback."""
        return [self.feedback_body(name) for name in self.feedback]
