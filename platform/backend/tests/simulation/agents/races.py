"""Who registers while others do."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.agents.strategies import free_usernames, spellings_of
from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import clash
from simulation.engine.choosing import chosen, there_are


class AgentClashes(DeepSciFiBaseRules):
    """Registering at once."""

    @precondition(there_are(free_usernames))
    @clash(
        usernames=chosen(free_usernames).flatmap(lambda name: st.lists(spellings_of(name), min_size=2, max_size=3)),
    )
    def register_one_username_at_once(self, data: DataObject, usernames: list[str]) -> None:
        """Whoever is first has it, in whatever spelling; the others find it taken."""
        self.at_once(data, *(partial(self._registers_unless_taken, username) for username in usernames))

    def _registers_unless_taken(self, username: str) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_a_registration(username),
            act=partial(self.an_agent_registers, username),
            ask=partial(self.register, username),
        )
