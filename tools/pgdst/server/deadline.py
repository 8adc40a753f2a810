"""How long a start may take: one deadline for everything that it waits for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Deadline:
    """The end of so many seconds, which have begun."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left, at the least none."""
        return max(self._end - time.monotonic(), 0)

    @property
    def has_passed(self) -> bool:
        """Whether none are left."""
        return not self.left()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the block: it has a deadline of its own, or lasts as long as what the user has asked for."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - begin
