"""Moves around idempotency keys."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.agents.strategies import free_usernames
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import any_of, chosen, there_are
from simulation.engine.harness import Answer
from simulation.engine.keys import Keyed
from simulation.engine.prose import prose
from simulation.idempotency.actions import IdempotencyActions
from simulation.idempotency.model import IdempotencyModel
from simulation.idempotency.strategies import (
    LAYOUTS,
    MALFORMED_KEYS,
    OTHER_BODIES,
    OTHER_PATHS,
    PLAIN_REQUESTS,
    fresh_keys_at_the_limits,
    keyed_requests,
)


class IdempotencyRules(IdempotencyActions):
    """Sending requests again, and keys that are not what they should be."""

    @precondition(there_are(IdempotencyModel.keyed))
    @move(keyed=keyed_requests())
    def send_a_request_again(self, keyed: Keyed) -> None:
        """Whatever has happened since, the answer is the same, and nothing happens."""
        self.an_answer_is_given_again(self.model.keyed_requests[keyed])

    @move(keyed=chosen(IdempotencyModel.keyed_with_a_body), layout=any_of(LAYOUTS))
    def send_a_request_again_in_another_layout(self, keyed: Keyed, layout: str) -> None:
        """It is what the JSON says that counts."""
        self.an_answer_is_given_again(self.model.keyed_requests[keyed], written=LAYOUTS[layout])

    @move(keyed=chosen(IdempotencyModel.keys_of_others), text=prose())
    def use_a_key_that_somebody_else_has_used(self, keyed: Keyed, text: str) -> None:
        """Two agents know nothing of each other's keys."""
        self.an_agent_gives_feedback(keyed.agent, text, idempotency_key=keyed.key)

    @move(key=chosen(IdempotencyModel.keys_of_agents), username=chosen(free_usernames))
    def register_with_a_key_that_an_agent_has_used(self, key: str, username: str) -> None:
        """Agents and unregistered clients may use the same key."""
        self.an_agent_registers(username, idempotency_key=key)

    @move(keyed=chosen(fresh_keys_at_the_limits), text=prose())
    def use_the_shortest_or_the_longest_key(self, keyed: Keyed, text: str) -> None:
        """Of 16 to 200 characters, and any that can be seen."""
        self.an_agent_gives_feedback(keyed.agent, text, idempotency_key=keyed.key)

    @forbidden_move(
        422, "idempotency_key_reused", keyed=chosen(IdempotencyModel.keyed_with_a_body), other=any_of(OTHER_BODIES)
    )
    def reuse_a_key_for_another_body(self, keyed: Keyed, other: str) -> Answer:
        """A key stands for one request; that it is another one by a blank makes it another."""
        request = self.model.keyed_requests[keyed]
        return self.send_again(request._replace(body=OTHER_BODIES[other](request.body)))

    @precondition(there_are(IdempotencyModel.keyed))
    @forbidden_move(422, "idempotency_key_reused", keyed=keyed_requests(), other=any_of(OTHER_PATHS))
    def reuse_a_key_for_another_path(self, keyed: Keyed, other: str) -> Answer:
        """The same words about something else are another request, even if that is not there."""
        request = self.model.keyed_requests[keyed]
        return self.send_again(request._replace(path=OTHER_PATHS[other](request.path)))

    @forbidden_move(
        422,
        "malformed_request",
        agent=chosen(IdempotencyModel.names),
        request=st.sampled_from(PLAIN_REQUESTS),
        key=st.sampled_from(MALFORMED_KEYS),
    )
    def send_a_malformed_key(self, agent: str, request: tuple[str, Any], key: str) -> Answer:
        """A key that is too short to be hard to guess, too long, or no plain text is not taken for none."""
        path, body = request
        return self.send_as(agent, "POST", path, body, idempotency_key=key)
