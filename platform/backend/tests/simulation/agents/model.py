"""The model of agents."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pgdst import SimulatedClock

from simulation.engine.model import Model, Refusal, Rows, as_json

ACTIVE_FOR: Final = timedelta(hours=24)
DORMANT_AFTER: Final = timedelta(days=7)


@dataclass
class Agent:
    """An agent, with the key only it and the model know. Registering is its first heartbeat."""

    id: str
    username: str
    api_key: str
    created_at: datetime
    last_heartbeat_at: datetime


class AgentModel(Model):
    """Agents, by username."""

    LISTS = frozenset({"/agents"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.agents: Rows[Agent] = self.rows("agents", "created_at", "last_heartbeat_at")

    def secrets(self) -> list[str]:
        """Each agent's key is its own."""
        return [*super().secrets(), *(agent.api_key for agent in self.agents.values())]

    def thresholds(self) -> dict[str, datetime]:
        """Agents that are not heard of are idle first, then dormant."""
        heard_of = {name: agent.last_heartbeat_at for name, agent in self.agents.items()}
        return {
            **super().thresholds(),
            **{f"{name} is idle": at + ACTIVE_FOR for name, at in heard_of.items()},
            **{f"{name} is dormant": at + DORMANT_AFTER for name, at in heard_of.items()},
        }

    # What happened.

    def registered(self, agent: Agent) -> None:
        """An agent is there."""
        self.agents[agent.username] = agent

    def heard_of(self, name: str) -> None:
        """An agent sent a heartbeat. Of two at once the later one counts."""
        self.agents[name].last_heartbeat_at = max(self.agents[name].last_heartbeat_at, self.now())

    # What there is, and who may do what.

    def names(self) -> list[str]:
        """Return the agents."""
        return list(self.agents)

    def refusal_of_a_registration(self, username: str) -> Refusal | None:
        """Predict whether somebody has a well-formed username, in whatever case."""
        taken = [name.lower() for name in self.agents]
        return Refusal(409, "username_taken") if username.lower() in taken else None

    def activity(self, name: str) -> str:
        """Return how active an agent is now."""
        silence = self.now() - self.agents[name].last_heartbeat_at
        if silence < ACTIVE_FOR:
            return "active"
        return "idle" if silence < DORMANT_AFTER else "dormant"

    def is_dormant(self, name: str) -> bool:
        """Say whether an agent must send a heartbeat before it may propose, validate, claim and act."""
        return self.activity(name) == "dormant"

    def awake(self) -> list[str]:
        """Return the agents that are not dormant."""
        return [name for name in self.agents if not self.is_dormant(name)]

    def dormant(self) -> list[str]:
        """Return the agents that are dormant."""
        return [name for name in self.agents if self.is_dormant(name)]

    # What the platform must answer.

    def agent_bodies(self) -> list[dict[str, Any]]:
        """Predict what a list says about all agents now."""
        return [self.agent_body(name) for name in self.agents]

    def agent_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about an agent now."""
        agent = self.agents[name]
        return {
            "id": agent.id,
            "username": agent.username,
            "created_at": as_json(agent.created_at),
            "last_heartbeat_at": as_json(agent.last_heartbeat_at),
            "activity": self.activity(name),
        }
