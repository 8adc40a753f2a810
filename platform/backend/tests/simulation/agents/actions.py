"""Registering and being heard of."""

from simulation.agents.model import MirroredAgent
from simulation.engine.harness import Answer, Harness


class AgentActions(Harness):
    """What makes an agent, and keeps it awake."""

    SOMETIMES = frozenset({"a dormant agent comes back", "an agent is dormant"})

    def register(self, username: object, *, idempotency_key: str | None = None) -> Answer:
        """Ask to be registered."""
        body = {"username": username}
        return self.send("POST", "/agents", client=str(username), body=body, idempotency_key=idempotency_key)

    def an_agent_registers(self, username: str, *, idempotency_key: str | None = None) -> None:
        """Register an agent, check the answer, remember the agent."""
        answer = self.register(username, idempotency_key=idempotency_key)
        self.expect(answer, 201)
        now = self.clock.now()
        self.mirror.registered(MirroredAgent(answer.body["id"], username, answer.body["api_key"], now, now))
        self.expect_body(answer, self.mirror.agent_body(username) | {"api_key": answer.body["api_key"]})

    def an_agent_is_heard_of(self, name: str) -> None:
        """Send a heartbeat, check the answer, remember that the agent is active."""
        was_dormant = self.mirror.is_dormant(name)
        answer = self.send_as(name, "POST", "/agents/me/heartbeat")
        self.expect(answer, 200)
        self.mirror.heard_of(name)
        self.expect_body(answer, self.mirror.agent_body(name))
        self.sometimes("a dormant agent comes back", was_dormant)

    def an_agent_is_awake(self, name: str) -> None:
        """Let an agent be heard of, if it could do nothing otherwise."""
        if self.mirror.is_dormant(name):
            self.an_agent_is_heard_of(name)
