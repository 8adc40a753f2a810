"""The kinds of faults, which are choices of the schedule.

A fault hits a client at an exact step: before it sends something, in the middle of a commit, or in a lock wait. It is
injected into the real connection, server process or server; never into a server that is not the run's own.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Final

from pgdst.simulation.clients.yield_points import BEGINS, CHECKOUT, Blocked, Pause, YieldPoint


class Fault(StrEnum):
    """A kind of fault, by the name under which it stands in a schedule."""

    LOST = "lost"  # the connection, before the statement is sent
    COMMIT_UNDONE = "commit-undone"  # the connection, before COMMIT reaches the server: the client can't know
    COMMIT_DONE = "commit-done"  # the connection, after COMMIT and before its reply: the client can't know
    TERMINATED = "terminated"  # 57P01: an administrator ends the session
    CANCELLED = "cancelled"  # 57014: somebody cancels the statement
    SERIALIZATION = "serialization"  # 40001
    DEADLOCK = "deadlock"  # 40P01
    DISK_FULL = "disk-full"  # 53100: a write fails with ENOSPC
    CRASH = "crash"  # SIGKILL of a server process: the server ends all others and recovers
    FROZEN = "frozen"  # the server stands still for a while, and the clock goes on
    TOO_MANY = "too-many"  # 53300: no connection is left
    CLOCK = "clock"  # time passes before the client goes on
    CLOCK_BACK = "clock-back"  # the wall clock is set back before the client goes on: what it reads is earlier


ALL: Final = tuple(Fault)

# FAULTS= chooses from these. Some kinds hit the whole server, and with it every other user of it.
WHOLE_SERVER: Final = (Fault.CRASH, Fault.TOO_MANY)

MIXES: Final[dict[str, tuple[Fault, ...]]] = {
    "off": (),
    "some": tuple(kind for kind in ALL if kind not in WHOLE_SERVER),
    "all": ALL,
}

DEFAULT_MIX: Final = "some"

# How long FROZEN lasts by the simulated clock, and by how much CLOCK and CLOCK_BACK change the clock.
FREEZE: Final = timedelta(seconds=30)

JUMP: Final = timedelta(hours=1)

# Errors that the server raises in the client's transaction, with their SQLSTATEs.
RAISED: Final = {
    Fault.CANCELLED: "57014",
    Fault.SERIALIZATION: "40001",
    Fault.DEADLOCK: "40P01",
    Fault.DISK_FULL: "53100",
}

# Faults that break the connection at the client's side.
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
    """Return the faults that can hit a client that goes on from this pause."""
    if isinstance(pause, Blocked):
        return (Fault.TERMINATED, Fault.CANCELLED)
    if not isinstance(pause, YieldPoint):
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
