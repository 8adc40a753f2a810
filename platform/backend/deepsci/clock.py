"""Where the application gets the time from."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time, as the application sees it."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""

    def sleep(self, duration: timedelta) -> None:
        """Return when the duration has passed."""


class SystemClock:
    """The clock of the machine, for a deployed service."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        """Return when the duration has passed."""
        time.sleep(duration.total_seconds())
