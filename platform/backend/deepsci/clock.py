"""Where the application gets the time from."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time, as the application sees it."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""


class SystemClock:
    """The clock of the machine, for a deployed service."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)
