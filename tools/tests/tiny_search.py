"""A backend of the smallest size whose simulation has shards: five a run, some of which fail, by their seeds."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from conftest import Sandbox

SIMULATION = """
import os
import time

import checks
import psycopg


def test_tosses(run_shard, database, pytestconfig):
    run_shard.coverage.declare(states=("heads", "tails", "edge"), moves=("toss", "catch"))
    toss = run_shard.seed % 16
    run_shard.coverage.sometimes("heads" if toss % 2 else "tails", True)
    run_shard.coverage.sometimes("toss", True)
    run_shard.examples = 2
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("INSERT INTO things SELECT generate_series(1, %s)", (toss,))
        [(things,)] = connection.execute("SELECT count(*) FROM things")
    run_shard.trace.append(f"ada: fault -> {'lost' if toss % 2 else 'crash'}")
    run_shard.trace.append(f"{things} things, {os.environ.get('DISTURBED', '')}")
    time.sleep(float(os.environ.get("TOSS_SECONDS", "0")))
    if os.environ.get("ENDS_AT") == f"{pytestconfig.option.pgdst_seed} {run_shard.index}":
        os._exit(9)
    if pytestconfig.option.pgdst_profile == "wrong":
        checks.check_small(toss)
        checks.check_even(toss)


def test_rolls(run_shard, pgdst_seed):
    run_shard.trace.append(f"roll {run_shard.number} {run_shard.seed} of {pgdst_seed}")
"""
CHECKS = """
def check_small(toss):
    assert toss < 12, f"{toss} is not small"


def check_even(toss):
    assert toss % 4 != 1, f"{toss} is odd"
"""
CONFTEST = """
pytest_plugins = ["pgdst.pytest.plugin"]


def pytest_pgdst_shards(config, test):
    return {"test_tosses": [3, 1], "test_rolls": [2]}[test]
"""
SHARDS_A_RUN = 5


def write(sandbox: Sandbox) -> Sandbox:
    """Give the backend of a sandbox this simulation; what runs there uses the embedded engine."""
    tests = sandbox.root / "tests"
    (tests / "simulation" / "test_tiny.py").write_text(SIMULATION)
    (tests / "simulation" / "checks.py").write_text(CHECKS)
    (tests / "conftest.py").write_text(CONFTEST)
    shutil.rmtree(sandbox.root / ".pgdst", ignore_errors=True)
    sandbox.environment["PGDST_ENGINE"] = "embedded"
    return sandbox


def search(sandbox: Sandbox, *options: str, status: int = 0, **environment: str) -> str:
    """Run a search in the sandbox, and return what it says. Checks the exit status."""
    done = sandbox.script("search.py", *options, **environment)
    assert status == done.returncode, done.stdout + done.stderr
    return done.stderr


def lines(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the shards of a search's folder. Checks that each is there once."""
    found = [json.loads(line) for line in (folder / "shards.jsonl").read_text().splitlines()]
    by_number = {one["shard"]: one for one in found}
    assert len(found) == len(by_number)
    return by_number


def hashes(folder: Path) -> dict[int, str]:
    """Return the hashes of a folder's shards."""
    return {shard: line["hash"] for shard, line in lines(folder).items()}


def whatever_the_pace(report: dict[str, Any]) -> dict[str, Any]:
    """Return what a report says that does not depend on who was how fast."""
    kept = {name: value for name, value in report.items() if name not in ("folders", "seconds", "slowest")}
    first = ("replay", "report", "wrong")  # which of a failure's shards was first, and is shown
    kept["failures"] = [{name: one[name] for name in one if name not in first} for one in report["failures"]]
    return kept


def hash_in(printed: str) -> str:
    """Return the hash of a run from what `run_simulation.py` prints."""
    [found] = re.findall(r"^run hash: ([0-9a-f]{64}) ", printed, re.MULTILINE)
    return str(found)
