"""tools/run_simulation.py: a shard that failed is kept, and tried first in the next run, until it passes."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from conftest import KIT, PYTHON, Sandbox

SIMULATION = """
import os


def test_counts(run_shard):
    run_shard.trace.append(f"count {run_shard.number}")
    assert str(run_shard.number) != os.environ.get("FAILS_IN"), "one too many"
"""
CONFTEST = """
pytest_plugins = ["pgdst.pytest.plugin"]


def pytest_pgdst_shards(config, test):
    return [4]
"""
# A machine whose third step is wrong, where a run is in a hurry with the rest.
MACHINE = """
import time

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pgdst.simulation.hypothesis.examples import Examples


def test_machine(run_shard):
    examples = Examples(run_shard.trace, run_shard.tell)

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            examples.begin()
            self.steps = 0

        @rule()
        def step(self):
            self.steps += 1
            time.sleep(0.2)
            if self.steps == 3:
                error = AssertionError("the third step is wrong")
                examples.fail(error)
                raise error

    with examples.required_to_fail_again():
        run_state_machine_as_test(Machine, settings=settings(max_examples=5, database=None, deadline=None))
"""


# What replays a shard with seed 7, up to its number.
LINE = f"{PYTHON} {KIT / 'tools' / 'run_simulation.py'} --seed=7 --shard="


def kept(sandbox: Sandbox) -> list[Path]:
    return sorted((sandbox.root / ".pgdst" / "failures").glob("*"))


def test_a_shard_that_failed_is_tried_first_until_it_passes(sandbox: Sandbox) -> None:
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(SIMULATION)
    (sandbox.root / "tests" / "conftest.py").write_text(CONFTEST)
    failed = sandbox.script("run_simulation.py", "--seed=7", "--workers=2", FAILS_IN="2")
    assert 1 == failed.returncode, failed.stdout + failed.stderr
    assert f"replay: cd {sandbox.root} && {LINE}2" in failed.stdout.splitlines()
    [file] = kept(sandbox)
    assert {"seed": 7, "shard": 2} == {name: json.loads(file.read_text())[name] for name in ("seed", "shard")}

    again = sandbox.script("run_simulation.py", "--seed=8", FAILS_IN="2")
    assert 1 == again.returncode
    assert "Shard 2 of seed 7 failed before and is tried first: one too many" in again.stderr
    assert "seed: 8" not in again.stdout
    assert [file] == kept(sandbox)

    passed = sandbox.script("run_simulation.py", "--seed=8")
    assert 0 == passed.returncode, passed.stdout + passed.stderr
    assert "It passes now." in passed.stderr
    assert "seed: 8" in passed.stdout
    assert [] == kept(sandbox)


@pytest.mark.long
def test_the_line_that_replays_is_of_the_command_that_was_called(sandbox: Sandbox) -> None:
    """With all that was chosen: make test-dst by its knobs, the script by its options, both pasted here."""
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(SIMULATION)
    (sandbox.root / "tests" / "conftest.py").write_text(CONFTEST)
    script = (PYTHON, KIT / "tools" / "run_simulation.py")
    chosen = {"PGDST_SEED": "7", "PGDST_PROFILE": "long one", "PGDST_FAULTS": "off", "PGDST_ENGINE": "embedded"}
    by_make = sandbox.with_postgres("--", *script, **chosen, PGDST_CALLED_BY="make test-dst", FAILS_IN="2")
    assert "replay: make test-dst SEED=7 PROFILE='long one' FAULTS=off ENGINE=embedded SHARD=2" in by_make.stdout

    by_hand = sandbox.with_postgres("--", *script, "--backend=.", **chosen, FAILS_IN="2")
    [line] = re.findall("^replay: (.*)$", by_hand.stdout, re.MULTILINE)
    assert line.endswith(" --seed=7 '--profile=long one' --faults=off --backend=. --shard=2")
    again = sandbox.inside(Path("/")).run("bash", "-c", line, FAILS_IN="2")
    assert 1 == again.returncode
    assert f"replay: {line}" in again.stdout.splitlines()


def test_what_is_no_failure_in_the_folder_is_named(sandbox: Sandbox) -> None:
    (sandbox.root / ".pgdst" / "failures").mkdir(parents=True)
    (sandbox.root / ".pgdst" / "failures" / "odd.json").write_text("[1]")
    done = sandbox.script("run_simulation.py")
    assert 1 == done.returncode
    assert "odd.json is not a failure that was kept" in done.stderr
    # A run of several clients is kept there, too, but is no shard.
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(SIMULATION)
    (sandbox.root / "tests" / "conftest.py").write_text(CONFTEST)
    (sandbox.root / ".pgdst" / "failures" / "odd.json").write_text('{"test": "tests/test_it.py::test_it"}')
    done = sandbox.script("run_simulation.py")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "tried first" not in done.stderr


def test_a_failure_is_told_before_it_is_made_smaller(sandbox: Sandbox) -> None:
    """With its replay line; an interrupt then shows the smallest that was found."""
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(MACHINE)
    process = sandbox.start(PYTHON, KIT / "tools" / "run_simulation.py", "--seed=7", "--workers=1")
    assert process.stderr is not None
    seen = ""
    while "Shrinking the failing example" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    assert f"failed: the third step is wrong\nreplay: cd {sandbox.root} && {LINE}0\n" in seen
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert re.search(r"the third step is wrong\nThe smallest example that failed ends with:\na new example\n", rest)
    assert 2 == process.returncode
