"""How long a start may take: one deadline for every wait in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Deadline:
    """A point in time, given by the seconds until then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; 0 once it has passed."""
        return max(self._end - time.monotonic(), 0)

    @property
    def has_passed(self) -> bool:
        """Whether no seconds are left."""
        return not self.left()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block: it has a deadline of its own, or runs the user's code."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - begin
