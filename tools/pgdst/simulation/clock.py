"""Time that passes only when the simulation says so."""

from datetime import UTC, datetime, timedelta
from typing import Final

# A fixed instant, so that no run depends on the day it is made.
START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError(f"The simulated clock needs an aware start, found {start!r}. Give it a time zone.")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the simulated instant, aware, in UTC."""
        return self._now

    def advance(self, duration: timedelta) -> None:
        """Let `duration` pass.

        Raises: ValueError, when it is negative: time never goes back.
        """
        if duration < timedelta():
            raise ValueError(f"Time does not go back, found an advance of {duration}. Advance by zero or more.")
        self._now += duration
