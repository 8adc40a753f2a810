"""pgdst.pytest_plugin: what a run prints at its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KIT
from pgdst.project import Project
from pgdst.simulation_run import command

SIMULATION = """
def test_tosses(run_trace, run_ledger, pytestconfig):
    run_trace.append("a toss")
    run_ledger.declare(states=("heads are up", "tails are up"), moves=("catch", "toss"))
    run_ledger.sometimes("heads are up", True)
    run_ledger.sometimes("toss", True)
    assert pytestconfig.getoption("--pgdst-profile") != "unlucky"
"""


@pytest.fixture
def simulation(tmp_path: Path) -> Path:
    """A simulation that needs no database."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = tmp_path / "test_tosses.py"
    path.write_text(SIMULATION)
    return path


def printed(simulation: Path, *arguments: str) -> list[str]:
    """Return the lines that a run prints, the plugin's own section last."""
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


@pytest.mark.parametrize(("profile", "passed_on"), [("quick", ["--pgdst-profile=quick"]), (None, [])])
def test_the_profile_is_passed_through_as_it_was_given(
    tmp_path: Path, profile: str | None, passed_on: list[str]
) -> None:
    """What the name means is the simulation's affair; without one it is told nothing."""
    project = Project(root=tmp_path, backend=tmp_path, alembic_ini=tmp_path / "alembic.ini", simulation=tmp_path)
    arguments = command(project, 7, profile, None, [])
    assert passed_on == [argument for argument in arguments if argument.startswith("--pgdst-profile")]
