"""Invariants of agents."""

import hashlib

from simulation.agents.actions import AgentActions
from simulation.engine.checks import always


class AgentInvariants(AgentActions):
    """Read from the table agents."""

    @always
    def agents_are_those_that_registered(self) -> None:
        """A1: the agents are exactly those that registered, under the usernames they chose."""
        self.expect_rows(
            {agent.id: agent.username for agent in self.model.agents.values()},
            "SELECT id::text, username FROM agents ORDER BY id",
        )

    @always
    def usernames_are_unique_regardless_of_case(self) -> None:
        """A2: no two agents have the same username, regardless of case."""
        self.expect_rows(
            {name.lower(): 1 for name in self.model.agents},
            "SELECT lower(username), count(*) FROM agents GROUP BY 1 ORDER BY 1",
        )

    @always
    def keys_are_kept_as_their_hash(self) -> None:
        """A3: of an API key, its SHA-256 is kept and nothing else."""
        self.expect_rows(
            {agent.id: hashlib.sha256(agent.api_key.encode()).hexdigest() for agent in self.model.agents.values()},
            "SELECT id::text, api_key_sha256 FROM agents ORDER BY id",
        )

    @always
    def agents_were_last_heard_of_when_they_said_so(self) -> None:
        """A4: an agent was last heard of when it sent its last heartbeat, or else when it registered."""
        self.expect_rows(
            {agent.id: agent.last_heartbeat_at for agent in self.model.agents.values()},
            "SELECT id::text, last_heartbeat_at FROM agents ORDER BY id",
        )
