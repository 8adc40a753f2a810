"""The platform's clock, and what it was asked."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pgdst import SimulatedClock, current_client


@dataclass
class Attempt:
    """One attempt at a request: when the platform looked at the clock first, and when last."""

    began_at: datetime | None = None
    acted_at: datetime | None = None


@dataclass
class WatchedClock:
    """The simulated clock, as the platform has it.

    Under faults time passes while a request is answered. What the platform dates by which instant can't be seen in all
    answers, so the clock remembers when each client's requests looked at it.
    """

    clock: SimulatedClock
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)  # by client
    pauses: int = 0  # that the platform made before it tried again

    def now(self) -> datetime:
        """Return the present instant."""
        now = self.clock.now()
        client = current_client()
        if client is not None and client.name in self.attempts:
            attempt = self.attempts[client.name][-1]
            attempt.began_at = attempt.began_at or now
            attempt.acted_at = now
        return now

    def sleep(self, duration: timedelta) -> None:
        """Let the platform pause, after which it tries again."""
        self.pauses += 1
        self.clock.sleep(duration)
        client = current_client()
        if client is not None:
            self.begin(client.name)

    def begin(self, client: str) -> None:
        """Note that a client begins an attempt."""
        self.attempts.setdefault(client, []).append(Attempt())

    def forget(self) -> None:
        """Forget all attempts."""
        self.attempts.clear()
