"""Faults as choices of the schedule: what a real Postgres does to a backend on a bad day.

A fault strikes a client at an exact step: before it sends something, in the middle of a commit, or in a lock wait. It
is done to the real connection, backend or server, of the run's own server and no other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from random import Random
from typing import Final, Protocol

from pgdst.simulation.client import BEGINS, CHECKOUT, AtGate, Blocked, Pause


class Fault(StrEnum):
    """A kind of fault, by the name under which it stands in a schedule."""

    LOST = "lost"  # the connection, before the statement is sent
    COMMIT_UNDONE = "commit-undone"  # the connection, before COMMIT reaches the server: the client can't know
    COMMIT_DONE = "commit-done"  # the connection, when COMMIT is done and before its reply: the client can't know
    TERMINATED = "terminated"  # 57P01: an administrator ends the session
    CANCELLED = "cancelled"  # 57014: somebody cancels the statement
    SERIALIZATION = "serialization"  # 40001
    DEADLOCK = "deadlock"  # 40P01
    DISK_FULL = "disk-full"  # 53100: a write of the server's finds no room
    CRASH = "crash"  # SIGKILL of the backend: the server restarts all of them and recovers
    FROZEN = "frozen"  # the server stands still for a while, and the clock goes on
    TOO_MANY = "too-many"  # 53300: no connection is left
    CLOCK = "clock"  # time passes before the client goes on
    CLOCK_BACK = "clock-back"  # the wall clock is set back before the client goes on: what it reads is earlier


ALL: Final = tuple(Fault)

# What FAULTS= chooses from. Two kinds strike the whole server, and with it whatever else uses it.
STRIKE_ALL: Final = (Fault.CRASH, Fault.TOO_MANY)
MIXES: Final[dict[str, tuple[Fault, ...]]] = {
    "off": (),
    "some": tuple(kind for kind in ALL if kind not in STRIKE_ALL),
    "all": ALL,
}
DEFAULT_MIX: Final = "some"

# How long FROZEN lasts by the simulated clock, and how far it goes forward or back: as one that was an hour wrong.
FREEZE: Final = timedelta(seconds=30)
JUMP: Final = timedelta(hours=1)

# What the server raises itself, in the client's transaction.
RAISED: Final = {
    Fault.CANCELLED: "57014",
    Fault.SERIALIZATION: "40001",
    Fault.DEADLOCK: "40P01",
    Fault.DISK_FULL: "53100",
}

# What breaks the connection itself, and not at the server's side.
CUT: Final = (Fault.LOST, Fault.COMMIT_UNDONE, Fault.COMMIT_DONE)

_CLOCKS = (Fault.CLOCK, Fault.CLOCK_BACK)
_AT_A_STATEMENT = (
    Fault.LOST,
    Fault.TERMINATED,
    Fault.CANCELLED,
    Fault.SERIALIZATION,
    Fault.DEADLOCK,
    Fault.DISK_FULL,
    Fault.CRASH,
    Fault.FROZEN,
    *_CLOCKS,
)
_AT_A_COMMIT = (
    Fault.COMMIT_UNDONE,
    Fault.COMMIT_DONE,
    Fault.TERMINATED,
    Fault.SERIALIZATION,
    Fault.CRASH,
    Fault.FROZEN,
    *_CLOCKS,
)


def possible_at(pause: Pause | None) -> tuple[Fault, ...]:
    """Return which faults can strike a client that goes on from here."""
    if isinstance(pause, Blocked):
        return (Fault.TERMINATED, Fault.CANCELLED)
    if not isinstance(pause, AtGate):
        return ()
    if pause.what in (BEGINS, CHECKOUT, "close", "ROLLBACK"):
        return _CLOCKS if pause.what == BEGINS else ()
    if pause.what == "connect":
        return (Fault.TOO_MANY, *_CLOCKS)
    kinds = _AT_A_COMMIT if pause.what == "COMMIT" else _AT_A_STATEMENT
    return kinds if pause.can_fail else _not_raised(kinds)


@cache
def _not_raised(kinds: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(kind for kind in kinds if kind not in RAISED)


class Faults(Protocol):
    """Decides what strikes whom."""

    def strike(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that strikes whoever takes this step, one of the possible, or None."""


@dataclass(frozen=True)
class _Mood:
    """How much of a storm a run is: how many faults at most, and how many steps at most until the next."""

    most: int
    longest: int


class DrawnFaults:
    """Faults drawn from a source such as Hypothesis, which shrinks towards fewer.

    Each run draws its mood (calm, one fault, a storm), then which kinds are on, then for how many steps nothing
    happens, and which fault comes after them; counted are steps at which one of the kinds could strike, and where those
    are few, `longest` says how many it may be at most. `draw(n)` returns a number from 0 to n; 0 always means less.
    """

    MOODS: Final = (_Mood(0, 0), _Mood(1, 24), _Mood(3, 12), _Mood(20, 6))

    def __init__(self, draw: Callable[[int], int], kinds: Iterable[Fault] = ALL, *, longest: int | None = None) -> None:
        self._draw = draw
        self._longest = longest
        self._kinds = tuple(kinds)
        self._mood = self.MOODS[draw(len(self.MOODS) - 1)] if self._kinds else self.MOODS[0]
        self._left = self._mood.most
        self._wait = 0
        if self._left:
            chosen = draw(2 ** len(self._kinds) - 1)
            on = tuple(kind for number, kind in enumerate(self._kinds) if chosen >> number & 1)
            self._kinds = on or self._kinds
            self._wait = self._until_the_next()

    def strike(self, _step: int, possible: Sequence[Fault]) -> Fault | None:
        """Draw, where a fault is due and one of those that are on can strike here."""
        able = [kind for kind in self._kinds if kind in possible]
        if not self._left or not able:
            return None
        if self._wait:
            self._wait -= 1
            return None
        self._left -= 1
        self._wait = self._until_the_next() if self._left else 0
        return able[self._draw(len(able) - 1)]

    def _until_the_next(self) -> int:
        return self._draw(self._mood.longest if self._longest is None else min(self._longest, self._mood.longest))


def random_faults(seed: int, kinds: Iterable[Fault] = ALL) -> DrawnFaults:
    """Return faults that the seed determines."""
    source = Random(seed)  # noqa: S311  # seeded random is the point
    return DrawnFaults(lambda greatest: source.randint(0, greatest), kinds)
