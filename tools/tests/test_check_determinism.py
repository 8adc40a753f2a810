"""The same seed gives the same run on both engines, with random waits and on a busy machine; what does not is found."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KIT, PYTHON, Sandbox
from pgdst.determinism.check import Comparison
from pgdst.simulation.trace import first_difference

DEADLINE_SECONDS = 600
CHANCY = """
import os


def test_a_chancy_thing(run_trace):
    run_trace.append("a line")
    run_trace.append(f"process {os.getpid()}")
"""
S = "tools/pgdst/simulation"
# What is planted, with where: what stands in a file, and what is put in its place; and which runs are to find it.
PLANTED = {
    "a gate that real time opens": (
        [
            (f"{S}/gate/session.py", "import threading\n", "import threading\nimport time\n"),
            (
                f"{S}/gate/session.py",
                "return self.user is client and self._granted ==",
                "return time.time() % 0.01 < 0.002 #",
            ),
        ],
        ("--simulation-seeds", "0"),
    ),
    "a set iterated": (
        [(f"{S}/scheduling/scheduler.py", "return sorted(able, key=", "return list(set(able)) or sorted(able, key=")],
        ("--simulation-seeds", "0"),
    ),
    "a wait that real time ends": (
        [(f"{S}/scheduling/scheduler.py", "return pause.is_over() or (", "return time.monotonic() % 0.02 < 0.01 or (")],
        ("--simulation-seeds", "0"),
    ),
    "an unordered query": (
        [("platform/backend/tests/simulation/engine/harness.py", "FROM {} t ORDER BY 1", "FROM {} t")],
        ("--workload-seeds", "0", "--examples", "3"),
    ),
}


def check(sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Check determinism with the sandbox's own kit if it has one, else with this one."""
    kit = sandbox.root if (sandbox.root / "tools").exists() else KIT
    process = sandbox.start(PYTHON, kit / "tools" / "check_determinism.py", *arguments)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize(
    ("seeds", "kinds"),
    [
        (8, ("crash", "terminated", "cancelled")),
        pytest.param(60, ("crash", "terminated", "cancelled", "lost"), marks=pytest.mark.long),
    ],
)
def test_the_same_seed_gives_the_same_run_in_all_conditions(
    sandbox: Sandbox, seeds: int, kinds: tuple[str, ...]
) -> None:
    """Two to five clients who clash in every way, under faults, crashes and recoveries included; all are counted."""
    done = check(sandbox, "--simulation-seeds=0", f"--workload-seeds={seeds}")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"workload: {4 * seeds} runs, all equal." in done.stdout
    for clash in ("lock waits", "stops inside statements", "deadlocks", "serialization failures", "unique conflicts"):
        assert re.search(rf"\d+ {clash}", done.stdout), done.stdout
    hit = done.stdout.partition("; hit by ")[2]
    for kind in kinds:
        assert re.search(rf"\d+ {kind}\b", hit), done.stdout
    assert f"workload, seed {seeds - 1}: 4 runs equal" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("driver", ["psycopg_async", "psycopg2", "asyncpg", "pg8000"])
def test_so_it_is_on_every_driver(sandbox: Sandbox, driver: str) -> None:
    done = check(sandbox, f"--driver={driver}", "--simulation-seeds=0", "--workload-seeds=15")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"workload on {driver}: 60 runs, all equal." in done.stdout


@pytest.mark.long
def test_a_simulation_that_depends_on_something_else_is_found_out(sandbox: Sandbox) -> None:
    """The first line that differs is printed with those before it, the traces are kept, and the status is 1."""
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(CHANCY)
    done = check(sandbox, "--seeds=1", "--workload-seeds=0")
    assert 1 == done.returncode, done.stderr
    assert "simulation: 4 runs, 3 differ." in done.stdout
    for place in ("embedded", "jitter", "busy"):
        found = rf"^simulation, seed 0: < docker, > {place}, line 2: 'process \d+' here, 'process \d+' there$"
        assert re.search(found, done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^  1  a line\n< 2  process \d+\n< 3  status 0\n---\n> 2  process \d+\n", done.stdout, re.M)
    kept = sandbox.root / ".pgdst" / "determinism"
    assert "a line\nprocess " in (kept / "simulation-0-docker.trace").read_text()
    assert 4 == len(list(kept.iterdir()))


@pytest.mark.long
@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_of_determinism_is_found(new_sandbox: Callable[[Path], Sandbox], tmp_path: Path, planted: str) -> None:
    """In a copy of the kit, into which it is planted."""
    changes, arguments = PLANTED[planted]
    copy = tmp_path / "checkout"
    listed = subprocess.run(["git", "ls-files"], cwd=KIT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (KIT / name).exists() and not name.startswith(("tools/tests/", "tools/benchmark/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(KIT / name, copy / name)
    (copy / ".venv").symlink_to(KIT / ".venv")
    for name, old, new in changes:
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new))
    done = check(new_sandbox(copy), "--seeds=20", "--exitfirst", *arguments)
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "The same seed gave different runs" in done.stderr, done.stderr


def test_one_condition_alone_is_refused(sandbox: Sandbox) -> None:
    done = check(sandbox, "--condition=docker")
    assert 2 == done.returncode
    assert "One condition alone compares nothing" in done.stderr


def test_a_comparison_counts_and_says_what_differs() -> None:
    compared = Comparison("workload")
    assert ["again"] == compared.add(
        7, {"here": ["1 ada: x -> waits for bob", "2 ada: y -> done"], "again": ["1 ada: x -> waits for bob"]}
    )
    [(where, difference)] = compared.differences
    assert "workload, seed 7: < here, > again" == where
    assert "line 2: '2 ada: y -> done' here, None there" == str(difference)
    assert "workload: 2 runs, 1 differ. One run of each seed: 2 lines, with 1 lock waits." == str(compared)
    hit = ["1 ada: fault -> lost", "2 bob: fault -> crash", "3 can be of ada; possible faults: lost crash"]
    assert [] == compared.add(8, {"here": hit, "again": hit})
    assert str(compared).endswith("5 lines, with 1 lock waits; hit by 1 lost, 1 crash.")


def test_a_difference_is_shown_in_its_context() -> None:
    """The twenty lines before it, and how both go on."""
    mine, theirs = [[*map(str, range(1, 31)), *rest, "after"] for rest in (["one"], ["another"])]
    found = first_difference(mine, theirs)
    assert found is not None
    shown = found.in_context().splitlines()
    assert "  11  11" == shown[0]
    assert ["  30  30", "< 31  one", "< 32  after", "---", "> 31  another", "> 32  after"] == shown[19:]
