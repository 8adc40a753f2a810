"""One idempotency key in several requests at once."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from simulation.agents.strategies import free_usernames
from simulation.engine.checks import race
from simulation.engine.choosing import chosen
from simulation.engine.keys import Keyed
from simulation.engine.linearization import Move
from simulation.idempotency.actions import IdempotencyActions
from simulation.idempotency.model import IdempotencyModel


class IdempotencyRaces(IdempotencyActions):
    """Requests with one key at once."""

    SOMETIMES = frozenset({"a key is refused as it was used for another request at once"})

    @race(
        agent=chosen(IdempotencyModel.names),
        texts=st.lists(st.sampled_from(["One.", "Another."]), min_size=2, max_size=3),
    )
    def use_one_key_at_once(self, data: DataObject, agent: str, texts: list[str]) -> None:
        """One of the requests has its effect; the same one again gets the same answer, and another one none."""
        key = f"at-once-{len(self.model.keyed_requests) + 1:08}"
        self.at_once(data, *(partial(self._gives_feedback_once, Keyed(agent, key), text) for text in texts))

    @race(username=chosen(free_usernames), times=st.sampled_from([2, 3]))
    def register_with_one_key_at_once(self, data: DataObject, username: str, times: int) -> None:
        """One agent is registered, and one API key is shown."""
        key = f"at-once-{len(self.model.keyed_requests) + 1:08}"
        self.at_once(data, *[partial(self._registers_once, username, key)] * times)

    def _gives_feedback_once(self, keyed: Keyed, text: str) -> None:
        refusal = self.model.refusal_of_a_key(keyed, "/feedback", {"text": text})
        give = partial(self.an_agent_gives_feedback, keyed.agent, text, idempotency_key=keyed.key)
        if refusal is None:
            self._done_once(keyed, give)
        else:
            self.be_refused(refusal, give)
        self.sometimes("a key is refused as it was used for another request at once", refusal is not None)

    def _registers_once(self, username: str, key: str) -> None:
        keyed = Keyed("nobody", key)
        self._done_once(keyed, partial(self.an_agent_registers, username, idempotency_key=key))

    def _done_once(self, keyed: Keyed, act: Move) -> None:
        kept = self.model.keyed_requests.get(keyed)
        if kept is None:
            act()
        else:
            self.an_answer_is_given_again(kept)
