"""The same seed gives the same run: here, again, in another process on a fresh server, and on a busy machine."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from conftest import KIT, PYTHON, Sandbox
from pgdst.determinism import Comparison

SCRIPT = KIT / "tools" / "check_determinism.py"
SEEDS = 15
CHANCY = """
import os


def test_a_chancy_thing(run_trace):
    run_trace.append("a line")
    run_trace.append(f"process {os.getpid()}")
"""


@contextmanager
def busy_machine() -> Iterator[None]:
    """Keep two cores busy."""
    with ExitStack() as started:
        for _ in range(2):
            loop = started.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            started.callback(loop.kill)
        yield


@pytest.mark.parametrize("engine", ["docker", "embedded"])
def test_the_same_seed_gives_the_same_run(sandbox: Sandbox, engine: str) -> None:
    """Two to five clients who clash in every way, three runs a seed; with Docker on a busy machine."""
    script = (PYTHON, SCRIPT, "--seeds", str(SEEDS), "--simulation-seeds", "0", "--faults", "off")
    with ExitStack() as around:
        if engine == "docker":
            around.enter_context(busy_machine())
        done = sandbox.with_postgres("--engine", engine, "--", *script)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"workload: {3 * SEEDS} runs, all equal." in done.stdout
    for clash in ("lock waits", "stops inside statements", "deadlocks", "serialization failures", "unique conflicts"):
        assert re.search(rf"\d+ {clash}", done.stdout), done.stdout


def test_the_same_seed_gives_the_same_faults_and_the_same_run(sandbox: Sandbox) -> None:
    """Crashes and recoveries included, and what struck is counted."""
    arguments = ("--first", str(SEEDS), "--seeds", str(SEEDS), "--simulation-seeds", "0", "--faults", "all")
    done = sandbox.with_postgres("--", PYTHON, SCRIPT, *arguments)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"workload: {3 * SEEDS} runs, all equal." in done.stdout
    struck = done.stdout.partition("; struck by ")[2]
    for kind in ("crash", "lost", "terminated", "cancelled"):
        assert re.search(rf"\d+ {kind}\b", struck), done.stdout


def test_a_simulation_that_depends_on_something_else_is_found_out(sandbox: Sandbox) -> None:
    """The first line that differs is printed, and the status is 1."""
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(CHANCY)
    done = sandbox.with_postgres("--", PYTHON, SCRIPT, "--seeds", "1", "--simulation-seeds", "1")
    assert 1 == done.returncode, done.stderr
    assert "workload: 3 runs, all equal" in done.stdout
    assert "simulation: 3 runs, 2 differ." in done.stdout
    for place in ("again", "a fresh server"):
        assert re.search(
            rf"^simulation, seed 0, {place}: line 2: 'process \d+' here, 'process \d+' there$", done.stdout, re.M
        )


def test_a_comparison_says_where_the_first_difference_is() -> None:
    compared = Comparison("workload")
    compared.add(7, ["1 ada: x -> waits for bob", "2 ada: y -> done"], {"again": ["1 ada: x -> waits for bob"]})
    assert ["workload, seed 7, again: line 2: '2 ada: y -> done' here, None there"] == compared.differences
    assert "workload: 2 runs, 1 differ. One run of each seed: 2 lines, with 1 lock waits." == str(compared)
    compared.add(8, ["1 ada: fault -> lost", "2 bob: fault -> crash", "storm: ada*2 ada!lost bob!commit-done ada!"], {})
    assert str(compared).endswith("5 lines, with 1 lock waits; struck by 2 lost, 1 crash, 1 commit-done.")
