"""Time passes only here, and in what happened before an example."""

from datetime import timedelta

from hypothesis import strategies as st

from simulation.agents.actions import AgentActions
from simulation.agents.model import AgentModel
from simulation.agents.strategies import silent_agents
from simulation.engine.checks import move
from simulation.engine.choosing import chosen
from simulation.engine.model import Threshold


class PassingTime(AgentActions):
    """Time that passes between fault runs, too."""

    @move(also_under_faults=True, seconds=st.sampled_from([1, 60, 3600]))
    def let_time_pass(self, seconds: int) -> None:
        """Some time goes by."""
        self.clock.advance(timedelta(seconds=seconds))


class Thresholds(AgentActions):
    """Jumps of the simulated clock to where something changes."""

    @move(
        threshold=chosen(AgentModel.thresholds_ahead), seconds_late=st.sampled_from([0, -1, 1]), silent=silent_agents()
    )
    def wait_for_a_threshold(self, threshold: Threshold, seconds_late: int, silent: list[str]) -> None:
        """Something changes by itself: it is just before that, then, or just after; most agents are heard of again."""
        self.clock.advance(threshold.at + timedelta(seconds=seconds_late) - self.clock.now())
        for name in self.model.names():
            if name not in silent and self.model.activity(name) != "active":
                self.an_agent_sends_a_heartbeat(name)
        self.sometimes("an agent is dormant", bool(self.model.dormant()))
