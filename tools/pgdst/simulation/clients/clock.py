"""Simulated time, which passes only when the simulation advances it.

There are two readings: the wall clock, which can be set back, and the elapsed time, which only grows. Sleeps and
time-outs use the elapsed time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from pgdst.simulation.clients.client import current_client
from pgdst.simulation.clients.yield_points import Waiting

# A fixed instant, so that no run depends on the day it is made.
START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError(f"The simulated clock needs an aware start, found {start!r}. Give it a time zone.")
        self._start = start.astimezone(UTC)
        self._now = self._start
        self._elapsed = timedelta()
        self._followers: list[Callable[[datetime], object]] = []

    def now(self) -> datetime:
        """Return the wall clock's instant: aware, in UTC."""
        return self._now

    def elapsed(self) -> timedelta:
        """Return how much time has passed since the start; setting the clock back does not change it."""
        return self._elapsed

    def advance(self, duration: timedelta) -> None:
        """Let `duration` pass.

        Raises: ValueError, if it is negative; see `set_back`.
        """
        if duration < timedelta():
            raise ValueError(f"Time does not go back, found an advance of {duration}. Advance by zero or more.")
        instant = self._now + duration
        self._elapsed += duration
        self._show(instant)

    def restart(self) -> None:
        """Go back to the first instant; no time has elapsed."""
        self._elapsed = timedelta()
        self._show(self._start)

    def set_back(self, duration: timedelta) -> None:
        """Set the wall clock back by `duration`, as NTP may do on a real machine. No time passes.

        Sleeps and time-outs are not affected.

        Raises: ValueError, if it is negative.
        """
        if duration < timedelta():
            raise ValueError(f"A clock is set back by zero or more, found {duration}. Use advance.")
        self._show(self._now - duration)

    def _show(self, instant: datetime) -> None:
        self._now = instant
        for follower in self._followers:
            follower(self._now)

    @contextmanager
    def followed_by(self, follower: Callable[[datetime], object]) -> Iterator[None]:
        """Call `follower` with the instant now, and whenever the clock changes in the block."""
        follower(self._now)
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    def sleep(self, duration: timedelta) -> None:
        """Return when `duration` has passed. A client waits until the schedule lets it go on; others return at once.

        Raises: ValueError, if it is negative.
        """
        client = current_client()
        if client is None or duration <= timedelta():
            self.advance(duration)
        else:
            client.stop(self._sleeping(duration))

    async def sleep_async(self, duration: timedelta) -> None:
        """Do the same in a coroutine."""
        client = current_client()
        if client is None or duration <= timedelta():
            self.advance(duration)
        else:
            await client.stop_async(self._sleeping(duration))

    def _sleeping(self, duration: timedelta) -> Waiting:
        until = self._elapsed + duration
        return Waiting(f"sleeps {duration}", lambda: self._elapsed >= until, self, until, is_sleep=True)
