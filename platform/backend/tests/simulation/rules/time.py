"""Time passes only here."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from simulation.base import DeepSciFiBaseRules
from simulation.checks import move


class TimeRules(DeepSciFiBaseRules):
    """Jumps of the simulated clock."""

    @move(seconds=st.sampled_from([1, 60, 24 * 3600]))
    def let_time_pass(self, seconds: int) -> None:
        """Some time goes by."""
        self.clock.advance(timedelta(seconds=seconds))

    @move(seconds_late=st.sampled_from([-1, 0, 1]))
    def wait_for_the_new_year(self, seconds_late: int) -> None:
        """The year in which a future may no longer lie changes: just before it does, at it, just after."""
        new_year = datetime(self.clock.now().year + 1, 1, 1, tzinfo=UTC)
        self.clock.advance(new_year + timedelta(seconds=seconds_late) - self.clock.now())
