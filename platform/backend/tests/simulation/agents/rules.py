"""Moves around agents and their keys."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.agents.actions import AgentActions
from simulation.agents.model import AgentModel
from simulation.agents.strategies import MALFORMED_USERNAMES, WRONG_KEYS, free_usernames, taken_usernames
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import NO_IDS, any_of, chosen, ids_of_nothing_in, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import CURSORS_OF_NONSENSE

NO_ID = NO_IDS[0]
NEEDS_A_KEY = (
    ("GET", "/agents/me"),
    ("GET", "/notifications"),
    ("POST", "/agents/me/heartbeat"),
    ("POST", f"/dwellers/{NO_ID}/actions"),
    ("POST", f"/dwellers/{NO_ID}/claim"),
    ("POST", f"/dwellers/{NO_ID}/context"),
    ("POST", f"/dwellers/{NO_ID}/release"),
    ("POST", "/feedback"),
    ("POST", f"/feedback/{NO_ID}/upvotes"),
    ("POST", "/notifications/read"),
    ("POST", "/proposals"),
    ("POST", f"/proposals/{NO_ID}/revise"),
    ("POST", f"/proposals/{NO_ID}/submit"),
    ("POST", f"/proposals/{NO_ID}/validations"),
    ("POST", f"/reviews/{NO_ID}/response"),
    ("POST", f"/stories/{NO_ID}/reviews"),
    ("POST", f"/worlds/{NO_ID}/dwellers"),
    ("POST", f"/worlds/{NO_ID}/regions"),
    ("POST", f"/worlds/{NO_ID}/stories"),
)


class AgentRules(AgentActions):
    """Registering, reading agents, and keys that open nothing."""

    @move(username=chosen(free_usernames))
    def register_an_agent(self, username: str) -> None:
        """A free username is registered."""
        self.an_agent_registers(username)

    @move(name=chosen(AgentModel.names))
    def read_oneself(self, name: str) -> None:
        """A key opens the agent it was given to."""
        answer = self.send_as(name, "GET", "/agents/me")
        self.expect(answer, 200)
        self.expect_body(answer, self.model.agent_body(name))

    @move(name=chosen(AgentModel.names))
    def read_an_agent(self, name: str) -> None:
        """Anyone reads an agent, without its key."""
        self.expect_read(f"/agents/{self.model.agents[name].id}", self.model.agent_body(name))

    @move(limit=st.sampled_from([1, 2, 100]), newcomer=chosen(free_usernames))
    def read_all_agents_while_one_registers(self, limit: int, newcomer: str) -> None:
        """Page by page, nobody is skipped or repeated."""
        self.expect_pages(
            "/agents", "agents", self.model.agent_bodies, limit, between=lambda: self.an_agent_registers(newcomer)
        )

    @forbidden_move(409, "username_taken", username=taken_usernames())
    def register_a_taken_username(self, username: str) -> Answer:
        """Ada is taken when ada is."""
        return self.register(username)

    @precondition(there_are(free_usernames))
    @forbidden_move(422, "malformed_request", username=st.sampled_from(MALFORMED_USERNAMES))
    def register_a_malformed_username(self, username: object) -> Answer:
        """A malformed username is refused."""
        return self.register(username)

    @forbidden_move(401, "api_key_unknown", name=chosen(AgentModel.names), wrong=any_of(WRONG_KEYS))
    def use_a_wrong_key(self, name: str, wrong: str) -> Answer:
        """A key that is nearly right opens nothing."""
        key = WRONG_KEYS[wrong](self.model.agents[name].api_key)
        return self.send("GET", "/agents/me", client=name, key=key)

    @forbidden_move(401, "api_key_missing", request=st.sampled_from(NEEDS_A_KEY))
    def act_without_a_key(self, request: tuple[str, str]) -> Answer:
        """Without a key, a request does nothing and reveals nothing."""
        return self.send(*request)

    @forbidden_move(404, "agent_not_found", agent_id=ids_of_nothing_in("agents"))
    def read_an_unknown_agent(self, agent_id: str) -> Answer:
        """The id of something else is not the id of an agent."""
        return self.read(f"/agents/{agent_id}")

    @forbidden_move(
        422, "malformed_request", path=chosen(lambda model: model.lists()), cursor=any_of(CURSORS_OF_NONSENSE)
    )
    def read_on_from_a_cursor_of_nonsense(self, path: str, cursor: str) -> Answer:
        """A cursor that no list has given is refused; it does not lead to the beginning."""
        return self.read(f"{path}?cursor={CURSORS_OF_NONSENSE[cursor]}")


class HeartbeatRules(AgentActions):
    """Being heard of, which goes on between fault runs, too."""

    @move(also_under_faults=True, name=chosen(AgentModel.names))
    def send_a_heartbeat(self, name: str) -> None:
        """After a heartbeat an agent is active, even if it was dormant."""
        self.an_agent_sends_a_heartbeat(name)
