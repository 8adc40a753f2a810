"""The last run of any simulation in this process: what a failed test shows."""

from pgdst.simulation.result import Result

_last: Result | None = None


def note(result: Result | None) -> None:
    """Note a run that has ended; None forgets the last one."""
    global _last
    _last = result


def last() -> Result | None:
    """Return the last run, as far as it came."""
    return _last
