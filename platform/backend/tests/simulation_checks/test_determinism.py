"""A run is its seed's alone: the same seed gives the same requests, answers and tables."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pgdst import ServerProcesses, Trace
from simulation.engine.extent import PROFILES
from simulation.engine.harness import CleanDatabases, Run
from simulation.engine.profiles import run_machine, settings_of
from simulation.machine import DeepSciFi

BACKEND = Path(__file__).parents[2]
FEW_EXAMPLES = 3
OF_THIS_RUN = ("CI", "PGDST_DATABASE_URL", "PGDST_RUN_ID")
DEADLINE_SECONDS = 120
SETTINGS_THAT_IGNORE_A_SEED = """
from simulation.engine.extent import PROFILES
from simulation.engine.profiles import settings_of

for profile in PROFILES:
    chosen = settings_of(profile, examples=3)
    print(profile, chosen.derandomize, chosen.database, chosen.max_examples, settings_of(profile).max_examples)
"""


def short_run(databases: CleanDatabases, backends: ServerProcesses, seed: int) -> Run:
    """Return a short run in this process, over."""
    run = Run(databases, backends, seed, Trace())
    run_machine(DeepSciFi, run, settings_of(examples=FEW_EXAMPLES))
    return run


def printed(seed: int, **environment: str) -> list[str]:
    """Return the hash and the coverage that a short run in a process of its own prints, on a server of its own.

    Its faults crash the whole server.
    """
    arguments = [f"--pgdst-seed={seed}", f"--pgdst-examples={FEW_EXAMPLES}"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/simulation", "-q", *arguments],
        cwd=BACKEND,
        env={name: value for name, value in os.environ.items() if name not in OF_THIS_RUN} | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = re.findall(r"^(?:run hash|reached): .+$", finished.stdout, re.MULTILINE)
    assert len(found) > 1, finished.stdout + finished.stderr
    return found


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """Line by line; and what a run is must not depend on what ran before it in the same process."""
    first, another, again = (short_run(clean_databases, pgdst_server_processes, seed) for seed in (7, 8, 7))
    assert any(re.search(r" with [1-9]\d* preemptions$", line) for line in first.trace.lines), "nothing came between"
    assert first.trace.first_difference(again.trace) is None
    assert first.trace.hexdigest() == again.trace.hexdigest()
    assert first.trace.hexdigest() != another.trace.hexdigest()
    assert first.coverage.counts() == again.coverage.counts()


@pytest.mark.usefixtures("clean_databases")
def test_the_run_is_the_same_in_another_process_and_under_ci() -> None:
    """Neither the order of hashes nor Hypothesis' own "ci" profile, which CI=true selects, reaches the run."""
    assert printed(7, PYTHONHASHSEED="0") == printed(7, PYTHONHASHSEED="4711", CI="true")


def test_no_profile_ignores_the_seed_under_ci() -> None:
    """Hypothesis' own "ci" profile sets derandomize; a database would bring in what an earlier run has found."""
    finished = subprocess.run(
        [sys.executable, "-c", SETTINGS_THAT_IGNORE_A_SEED],
        cwd=BACKEND,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CI": "true"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    expected = [f"{name} False None 3 {profile.examples}" for name, profile in PROFILES.items()]
    assert expected == finished.stdout.splitlines(), finished.stderr


def test_the_trace_holds_requests_answers_and_final_tables(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """Enough to see what happened, and nothing that changes from run to run."""
    lines = short_run(clean_databases, pgdst_server_processes, 7).trace.lines
    assert "a new example" == lines[0]
    assert re.fullmatch(r'ada POST /agents None \S+ {"username": "ada"} -> 201 {.*"api_key":.*}', lines[1])
    assert {"agents", "alembic_version", "causal_events", "proposals", "validations", "worlds"} <= {
        line.partition(" ")[0] for line in lines
    }
