"""tools/search.py: shards of many runs, by any number of processes; it goes on after failures and after its own end."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from conftest import DEADLINE_SECONDS, KIT, PYTHON, Sandbox
from leftovers import REACHED_SECONDS
from tiny_search import SHARDS_A_RUN, hash_in, lines, search, write


@pytest.fixture
def tiny(sandbox: Sandbox) -> Sandbox:
    return write(sandbox)


def test_a_shard_is_the_one_of_make_test_dst_and_the_same_command_goes_on(tiny: Sandbox) -> None:
    """Shard k is shard k % K of the run of seed S + k // K, whichever process and whatever ran before in it."""
    said = search(tiny, "--seed=7", "--shards=0-8", "--workers=1")
    folder = tiny.root / ".pgdst" / "search" / "seed-7"
    assert "9 shards, 3 of 5 states and moves reached, no failures" in said
    found = lines(folder)
    assert set(range(9)) == found.keys()
    for shard, line in found.items():
        assert (7 + shard // SHARDS_A_RUN, shard % SHARDS_A_RUN) == (line["seed"], line["index"])
    alone = tiny.script("run_simulation.py", "--seed=8", "--shard=3")
    assert found[8]["hash"] == hash_in(alone.stdout)
    assert {"edge", "heads", "tails"} == set(json.loads((folder / "declared.json").read_text())["states"])

    with (folder / "shards.jsonl").open("a") as torn:  # as a power cut leaves it
        torn.write('{"shard":9,"seed":8,"in')
    said = search(tiny, "--seed=7", "--shards=0-10", "--workers=1")
    assert "it goes on; 9 shards" in said
    assert set(range(11)) == lines(folder).keys()
    assert found.items() <= lines(folder).items()


@pytest.mark.long
def test_a_search_of_other_values_or_sources_is_refused(tiny: Sandbox) -> None:
    search(tiny, "--seed=7", "--shards=0-0", "--workers=1")
    refused = search(tiny, "--seed=7", "--shards=0-8", "--faults=off", status=1)
    assert "is a search of faults all and off: there and now." in refused
    assert 1 == len(lines(tiny.root / ".pgdst" / "search" / "seed-7"))
    (tiny.root / "tables.py").write_text(f"{(tiny.root / 'tables.py').read_text()}# changed\n")
    assert "is a search of sources " in search(tiny, "--seed=7", "--shards=0-8", status=1)


def test_it_goes_on_after_failures_and_keeps_each_once(tiny: Sandbox) -> None:
    """A failure is fetched and tried first by the next run, which needs nothing else of the night."""
    said = search(tiny, "--seed=7", "--shards=0-24", "--profile=wrong", "--workers=1", "--to=night", status=1)
    night = tiny.root / "night"
    found = lines(night)
    assert set(range(25)) == found.keys()
    failed = {shard: line["failure"] for shard, line in found.items() if line["failure"]}
    kept = sorted(file.stem for file in (night / "failures").glob("????????????.json"))
    assert sorted(set(failed.values())) == kept
    assert len(kept) == 2  # two checks
    assert len(failed) > 2
    assert f"2 failures in {len(failed)} shards" in said
    assert {"crash", "lost"} == {kind for line in found.values() for kind in line["faults"]}

    merged = tiny.script("merge_searches.py", "night", "--to=merged")
    assert 1 == merged.returncode, merged.stderr
    report = json.loads((tiny.root / "merged" / "report.json").read_text())
    assert {one["id"]: one["count"] for one in report["failures"]} == {
        one: list(failed.values()).count(one) for one in kept
    }
    for one in report["failures"]:
        assert one["wrong"].split()[1:3] in (["is", "not"], ["is", "odd"])
        assert one["code"] in ("tests/simulation/checks.py:3", "tests/simulation/checks.py:7")
    fetched = tiny.script("fetch_failures.py", "--from", "merged")
    assert 0 == fetched.returncode, fetched.stderr
    assert 2 == len(fetched.stdout.splitlines())
    first = tiny.script("run_simulation.py", "--seed=1")
    assert 1 == first.returncode
    assert "failed before and is tried first" in first.stderr
    assert hash_in(first.stdout) in {line["hash"] for line in found.values() if line["failure"]}


@pytest.mark.long
def test_a_process_that_ends_loses_its_shard_alone(tiny: Sandbox) -> None:
    """Another goes on with the rest; the same command then runs what is missing."""
    said = search(tiny, "--seed=7", "--shards=0-7", "--workers=1", status=1, ENDS_AT="7 1")
    assert "shard 1 could not be run: A process of the search ended with status 9" in said
    assert "Not run: 1, see above." in said
    folder = tiny.root / ".pgdst" / "search" / "seed-7"
    assert set(range(8)) - {1} == lines(folder).keys()
    search(tiny, "--seed=7", "--shards=0-7")
    assert set(range(8)) == lines(folder).keys()


@pytest.mark.long
def test_only_one_search_at_a_time_has_a_folder_and_signals_end_it(tiny: Sandbox) -> None:
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        command = (PYTHON, KIT / "tools" / "search.py", "--seed=7", "--minutes=5", "--to=night", "--workers=1")
        running = tiny.start(*command, TOSS_SECONDS="0.2")
        wait_for_lines(tiny.root / "night", 2)
        refused = search(tiny, "--seed=7", "--shards=0-1", "--to=night", status=1)
        assert f"Another search is running in {tiny.root / 'night'}." in refused
        os.kill(running.pid, number)
        out, err = running.communicate(timeout=DEADLINE_SECONDS)
        assert (status, "") == (running.returncode, out), err
        assert tiny.leftovers.left_after(REACHED_SECONDS) == {}
        before = lines(tiny.root / "night")
    search(tiny, "--seed=7", "--minutes=0.02", "--to=night", "--workers=1")
    assert before.items() <= lines(tiny.root / "night").items()


def wait_for_lines(folder: Path, count: int) -> None:
    """Wait until so many shards are done in a folder, counted from now."""
    file = folder / "shards.jsonl"
    before = file.read_bytes().count(b"\n") if file.exists() else 0
    deadline = time.monotonic() + REACHED_SECONDS
    while not file.exists() or file.read_bytes().count(b"\n") < before + count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_a_killed_search_leaves_nothing_that_runs(tiny: Sandbox) -> None:
    """Its workers notice its end, and their servers theirs."""
    command = (PYTHON, KIT / "tools" / "search.py", "--seed=7", "--minutes=5", "--to=night", "--workers=1")
    running = tiny.start(*command, TOSS_SECONDS="0.2")
    wait_for_lines(tiny.root / "night", 1)
    running.kill()
    running.communicate(timeout=DEADLINE_SECONDS)
    assert tiny.leftovers.left_after(REACHED_SECONDS) == {}
    search(tiny, "--seed=7", "--shards=0-1", "--to=night")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "The search would have no end. Give --shards"),
        (["--minutes=0"], 2, "--minutes"),
        (["--minutes=1", "--share=3/2"], 2, "'3/2' is no share."),
        (["--minutes=1", "--name=../night"], 2, "'../night' is no name of a folder."),
        pytest.param(["--shards=0-0"], 1, "is a shard: none uses run_shard.", marks=pytest.mark.long),
    ],
)
def test_what_cannot_be_run_is_said(sandbox: Sandbox, options: list[str], status: int, words: str) -> None:
    """The last one on a simulation without shards."""
    sandbox.environment["PGDST_ENGINE"] = "embedded"
    assert words in search(sandbox, *options, status=status)


@pytest.mark.long
def test_a_simulation_that_cannot_be_collected_is_shown(tiny: Sandbox) -> None:
    (tiny.root / "tests" / "simulation" / "test_tiny.py").write_text("import no_such_module\n")
    assert "No module named 'no_such_module'" in search(tiny, "--shards=0-1", status=1)


@pytest.mark.long
def test_a_server_that_cannot_be_started_ends_the_search_with_its_reason(tiny: Sandbox) -> None:
    said = search(tiny, "--shards=0-9", status=1, PGDST_ENGINE="docker", DOCKER_HOST="tcp://127.0.0.1:9")
    assert "Docker is not running" in said


MACHINE = """
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.strategies import integers
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pgdst.simulation.hypothesis.examples import Examples


def test_tosses(run_shard):
    examples = Examples(run_shard.trace, run_shard.tell)

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            examples.begin()
            with Path(f"examples-{run_shard.index}").open("a") as counted:
                counted.write("x")
            self.steps = 0

        @rule(length=integers(0, 10**6))
        def step(self, length):
            self.steps += length
            run_shard.trace.append("a step")
            try:
                assert self.steps < 1234567, f"{self.steps} is too far"
            except AssertionError as error:
                examples.fail(error)
                raise

    chosen = settings(max_examples=20, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
    with examples.required_to_fail_again():
        run_state_machine_as_test(Machine, settings=chosen)


def test_rolls(run_shard):
    pass
"""


@pytest.mark.long
def test_a_known_failure_is_not_shrunk_again(tiny: Sandbox) -> None:
    """Not either after the search was started again, and its hash is that of the run that shrinks it."""
    (tiny.root / "tests" / "simulation" / "test_tiny.py").write_text(MACHINE)
    said = search(tiny, "--seed=7", "--shards=0-2", "--workers=1", status=1)
    assert 1 == said.count("fails and is shrunk"), said
    found = lines(tiny.root / ".pgdst" / "search" / "seed-7")
    assert 1 == len({line["failure"] for line in found.values()})
    shrunk, known, _ = (len((tiny.root / f"examples-{shard}").read_text()) for shard in range(3))
    assert shrunk > known + 3, (shrunk, known)
    said = search(tiny, "--seed=7", "--shards=0-5", "--workers=1", status=1)
    assert "fails and is shrunk" not in said
    again = tiny.script("run_simulation.py", "--seed=7", "--shard=1")
    assert found[1]["hash"] == hash_in(again.stdout)
