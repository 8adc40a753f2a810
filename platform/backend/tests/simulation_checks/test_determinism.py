"""A run is its seed's alone: the same seed gives the same requests, answers and tables."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pgdst.simulation.trace import Trace
from simulation.base import CleanDatabases, Run
from simulation.machine import DeepSciFi
from simulation.profiles import default_settings, run_machine

BACKEND = Path(__file__).parents[2]
FEW_EXAMPLES = 3
DEADLINE_SECONDS = 120


def traced(databases: CleanDatabases, seed: int) -> Trace:
    """Return the trace of a short run in this process."""
    run = Run(databases, seed, Trace())
    run_machine(DeepSciFi, run, default_settings(FEW_EXAMPLES))
    return run.trace


def printed_hash(seed: int, **environment: str) -> str:
    """Return the hash that a short run in a process of its own prints, on this run's server."""
    arguments = ["tests/simulation", "-q", f"--pgdst-seed={seed}", f"--pgdst-examples={FEW_EXAMPLES}"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=BACKEND,
        env={name: value for name, value in os.environ.items() if name != "CI"} | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    found = re.search(r"run hash: (\w+)", finished.stdout)
    assert found is not None, finished.stdout + finished.stderr
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return found[1]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(clean_databases: CleanDatabases) -> None:
    """Line by line; and what a run is must not depend on what ran before it in the same process."""
    first, another, again = (traced(clean_databases, seed) for seed in (7, 8, 7))
    assert first.first_difference(again) is None
    assert first.hexdigest() == again.hexdigest()
    assert first.hexdigest() != another.hexdigest()


@pytest.mark.usefixtures("clean_databases")
def test_the_run_is_the_same_in_another_process_and_under_ci() -> None:
    """Neither the order of hashes nor Hypothesis' own "ci" profile, which CI=true selects, reaches the run."""
    here = printed_hash(7, PYTHONHASHSEED="0")
    assert here == printed_hash(7, PYTHONHASHSEED="4711", CI="true")
    assert here != printed_hash(8, PYTHONHASHSEED="0", CI="true")


def test_the_trace_holds_requests_answers_and_final_tables(clean_databases: CleanDatabases) -> None:
    """Enough to see what happened, and nothing that changes from run to run."""
    lines = traced(clean_databases, 7).lines
    assert "a new example" == lines[0]
    assert re.fullmatch(r'ada POST /agents None {"username": "ada"} -> 201 {.*"api_key":.*}', lines[1])
    assert {"agents", "alembic_version", "causal_events", "proposals", "validations", "worlds"} <= {
        line.partition(" ")[0] for line in lines
    }
