"""pgdst.pytest_plugin: what a run prints at its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KIT
from pgdst.errors import ConfigurationError
from pgdst.project import Project
from pgdst.simulation.shares import Share, summed
from pgdst.simulation.trace import Trace
from pgdst.simulation_run import command

SIMULATION = """
def test_tosses(run_trace, run_ledger, pytestconfig):
    run_trace.append("a toss")
    run_ledger.declare(states=("heads are up", "tails are up"), moves=("catch", "toss"))
    run_ledger.sometimes("heads are up", True)
    run_ledger.sometimes("toss", True)
    assert pytestconfig.getoption("--pgdst-profile") != "unlucky"
"""
SHARED_SIMULATION = """
import pytest


def test_tosses(run_share, run_trace, run_ledger, pytestconfig):
    run_trace.append(f"toss {run_share}")
    run_ledger.declare(states=("heads are up", "tails are up"), moves=("catch", "toss"))
    run_ledger.sometimes("heads are up" if run_share else "tails are up", True)
    run_ledger.sometimes("toss", True)
    run_ledger.sometimes("catch", pytestconfig.getoption("--pgdst-profile") == "lucky")
    run_ledger.must_reach_everything = True
"""


@pytest.fixture
def simulation(tmp_path: Path) -> Path:
    """A simulation that needs no database."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = tmp_path / "test_tosses.py"
    path.write_text(SIMULATION)
    return path


def printed(simulation: Path, *arguments: str, status: int | None = None) -> list[str]:
    """Return the lines that a run prints, the plugin's own section last, and check its exit status if one is given."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pgdst.pytest_plugin", str(simulation), *arguments],
        cwd=simulation.parent,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PGDST_")},
            "PYTHONPATH": str(KIT / "tools"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status in (None, done.returncode), done.stdout
    return done.stdout.splitlines()


def test_a_run_that_passed_prints_what_it_reached(simulation: Path) -> None:
    """Each state with its count; of the moves, those that never succeeded."""
    lines = [line for line in printed(simulation, "--pgdst-seed=7") if line.startswith("reached: ")]
    assert ["reached: 1 times heads are up", "reached: 0 times tails are up", "reached: never catch"] == lines


def test_a_run_that_failed_prints_one_command_that_makes_it_again(simulation: Path) -> None:
    """With every knob that was given, and without a ledger that was cut short."""
    lines = printed(simulation, "--pgdst-seed=7", "--pgdst-profile=unlucky", "--pgdst-examples=3")
    replays = [line for line in lines if line.startswith("replay: ")]
    assert ["replay: make test-dst SEED=7 PROFILE=unlucky EXAMPLES=3"] == replays
    assert not [line for line in lines if line.startswith("reached: ")]


def test_workers_share_a_run(simulation: Path) -> None:
    """One test a share; the hash is that of all shares in their order, the ledger counts what all have reached."""
    simulation.write_text(SHARED_SIMULATION)
    shared = ("--pgdst-seed=7", "--pgdst-profile=lucky", "--pgdst-workers=3", "-n", "3")
    lines = printed(simulation, *shared)
    traces = [Trace(), Trace(), Trace()]
    for share, trace in enumerate(traces):
        trace.append(f"toss {share}")
    whole = summed({share: Share(trace).as_record() for share, trace in enumerate(traces)})
    assert f"run hash: {whole.hash} (3 lines)" in lines
    assert "reached: 2 times heads are up" in lines
    assert "reached: 1 times tails are up" in lines
    assert any(line.startswith("3 passed") for line in lines)


def test_what_no_worker_has_reached_fails_the_run(simulation: Path) -> None:
    """Only the sum can be judged; the command that makes the run again has the number of workers in it."""
    simulation.write_text(SHARED_SIMULATION)
    lines = printed(simulation, "--pgdst-seed=7", "--pgdst-workers=2", "-n", "2", status=1)
    assert "failed: never once reached in this run: catch" in lines
    assert "replay: make test-dst SEED=7 WORKERS=2" in lines


@pytest.mark.parametrize(("profile", "passed_on"), [("quick", ["--pgdst-profile=quick"]), (None, [])])
def test_the_profile_is_passed_through_as_it_was_given(
    tmp_path: Path, profile: str | None, passed_on: list[str]
) -> None:
    """What the name means is the simulation's affair; without one it is told nothing."""
    project = Project(root=tmp_path, backend=tmp_path, alembic_ini=tmp_path / "alembic.ini", simulation=tmp_path)
    arguments = command(project, 7, profile, None, [])
    assert passed_on == [argument for argument in arguments if argument.startswith("--pgdst-profile")]


def test_a_run_that_nobody_shares_is_called_as_ever(tmp_path: Path) -> None:
    """One worker is no worker of xdist's."""
    project = Project(root=tmp_path, backend=tmp_path, alembic_ini=tmp_path / "alembic.ini", simulation=tmp_path)
    assert not [argument for argument in command(project, 7, None, None, [], 1) if "workers" in argument]
    assert "--pgdst-faults=all" in command(project, 7, None, None, [], 1, "all")
    with pytest.raises(ConfigurationError, match="WORKERS=1"):
        command(project, 7, None, None, [], 3, "all")
    assert ["--pgdst-workers=3", "--numprocesses=3"] == command(project, 7, None, None, [], 3)[-2:]
