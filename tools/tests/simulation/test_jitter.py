"""Random waits at every point where the kit touches the world."""

import subprocess
import sys
from importlib import import_module

import pytest
from conftest import KIT
from pgdst.simulation.jitter import LONGEST_SECONDS, POINTS

# In a process of its own, as the waits cannot be removed.
INSTALL = """
import time
from pgdst.simulation import jitter

slept = []
jitter.time.sleep = slept.append
jitter.install({seed})
from datetime import timedelta
from pgdst.simulation.clients.clock import SimulatedClock
clock = SimulatedClock()
for _ in range(500):
    clock.advance(timedelta(seconds=1))
print(len(slept), max(slept), clock.elapsed(), slept[:3])
"""


def installed(seed: int) -> str:
    """Return the output of a process with jitter that sets a clock 500 times."""
    return subprocess.run(
        [sys.executable, "-c", INSTALL.format(seed=seed)],
        cwd=KIT / "tools",
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_has_a_point_waits_now_and_then_and_does_the_same() -> None:
    """The times depend on the seed alone, and none exceeds the limit."""
    how_often, longest, elapsed, *_ = installed(1).split(maxsplit=3)
    assert 40 < int(how_often) < 160
    assert 0 < float(longest) <= LONGEST_SECONDS
    assert "0:08:20" == elapsed
    assert installed(1) == installed(1) != installed(2)


@pytest.mark.parametrize("point", POINTS)
def test_every_point_is_there(point: str) -> None:
    """A renamed function would only lose its jitter, which no other test notices."""
    module, _, path = point.partition(":")
    found = import_module(f"pgdst.{module}")
    for name in path.split("."):
        found = getattr(found, name)
    assert callable(found)
