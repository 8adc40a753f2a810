"""Time passes only here, and in what happened before an example."""

from datetime import timedelta

from hypothesis import strategies as st

from simulation.agents.strategies import silent_agents
from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import move
from simulation.engine.choosing import chosen
from simulation.state_mirror import StateMirror, Threshold


class TimeRules(DeepSciFiBaseRules):
    """Jumps of the simulated clock."""

    @move(seconds=st.sampled_from([1, 60, 3600]))
    def let_time_pass(self, seconds: int) -> None:
        """Some time goes by."""
        self.clock.advance(timedelta(seconds=seconds))

    @move(
        threshold=chosen(StateMirror.thresholds_ahead),
        seconds_late=st.sampled_from([0, -1, 1]),
        silent=silent_agents(),
    )
    def wait_for_a_threshold(self, threshold: Threshold, seconds_late: int, silent: list[str]) -> None:
        """Something changes by itself: it is just before that, then, or just after; most agents are heard of again."""
        self.clock.advance(threshold.at + timedelta(seconds=seconds_late) - self.clock.now())
        for name in self.mirror.names():
            if name not in silent and self.mirror.activity(name) != "active":
                self.an_agent_is_heard_of(name)
        self.sometimes("an agent is dormant", bool(self.mirror.dormant()))
