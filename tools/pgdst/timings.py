"""Timings of a command: if PGDST_TIMINGS is set, one line for each stage on stderr, in seconds."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def are_wanted() -> bool:
    """Tell whether the user has asked for timings: `make … TIMINGS=1`."""
    return os.environ.get("PGDST_TIMINGS", "") not in ("", "0")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time the block. A stage that fails is not reported."""
    begin = time.monotonic()
    yield
    report(name, time.monotonic() - begin)


def report(name: str, seconds: float) -> None:
    """Print the line of a stage, if timings are wanted."""
    if are_wanted():
        print(f"timing: {seconds:6.3f} s  {name}", file=sys.stderr, flush=True)  # noqa: T201  # pytest captures click


def report_start_up(name: str) -> None:
    """Report the processor time that this process has used so far: the interpreter and its imports."""
    report(name, time.process_time())
