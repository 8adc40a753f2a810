"""Registering and being heard of."""

from simulation.agents.model import Agent, AgentModel
from simulation.agents.strategies import free_usernames
from simulation.base import DeepSciFiBaseRules
from simulation.engine.errands import errand
from simulation.engine.harness import Answer


class AgentActions(DeepSciFiBaseRules):
    """Registering and sending heartbeats."""

    model: AgentModel

    SOMETIMES = frozenset({"a dormant agent comes back", "an agent is dormant"})

    def send_as(
        self, agent: str, method: str, path: str, body: object = None, *, idempotency_key: str | None = None
    ) -> Answer:
        """Send a request with an agent's key."""
        key = self.model.agents[agent].api_key
        return self.send(method, path, client=agent, key=key, body=body, idempotency_key=idempotency_key)

    def register(self, username: object, *, idempotency_key: str | None = None) -> Answer:
        """Ask to be registered."""
        body = {"username": username}
        return self.send("POST", "/agents", client=str(username), body=body, idempotency_key=idempotency_key)

    @errand(free_usernames, refused=AgentModel.refusal_of_a_registration)
    def an_agent_registers(self, username: str, *, idempotency_key: str | None = None) -> None:
        """Register an agent, check the answer, remember the agent."""
        answer = self.register(username, idempotency_key=idempotency_key)
        self.expect(answer, 201)
        now = self.clock.now()
        self.model.registered(Agent(answer.body["id"], username, answer.body["api_key"], now, now))
        self.expect_body(answer, self.model.agent_body(username) | {"api_key": answer.body["api_key"]})

    @errand(AgentModel.names)
    def an_agent_sends_a_heartbeat(self, name: str) -> None:
        """Send a heartbeat, check the answer, remember that the agent is active."""
        was_dormant = self.model.is_dormant(name)
        answer = self.send_as(name, "POST", "/agents/me/heartbeat")
        self.expect(answer, 200)
        self.model.heard_of(name)
        self.expect_body(answer, self.model.agent_body(name))
        self.sometimes("a dormant agent comes back", was_dormant)

    def an_agent_is_awake(self, name: str) -> None:
        """Let an agent be heard of, if it could do nothing otherwise."""
        if self.model.is_dormant(name):
            self.an_agent_sends_a_heartbeat(name)
