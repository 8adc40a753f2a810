"""Agents register at once."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.agents.actions import AgentActions
from simulation.agents.strategies import free_usernames, spellings_of
from simulation.engine.checks import race
from simulation.engine.choosing import chosen, there_are


class AgentRaces(AgentActions):
    """Registering at once."""

    @precondition(there_are(free_usernames))
    @race(usernames=chosen(free_usernames).flatmap(lambda name: st.lists(spellings_of(name), min_size=2, max_size=3)))
    def register_one_username_at_once(self, data: DataObject, usernames: list[str]) -> None:
        """The first agent gets the username, in any spelling; the others are refused."""
        self.at_once(data, *(self.attempt(self.an_agent_registers, username) for username in usernames))
