"""One search as one process, as many, and as many that are killed: the same shards, none lost, none counted twice."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import DEADLINE_SECONDS, KIT, PYTHON, Sandbox
from tiny_search import SHARDS_A_RUN, hash_in, hashes, lines, whatever_the_pace, write

pytestmark = pytest.mark.long

SHARDS = 64
SIDE_BY_SIDE = 4
WORKER = "--pgdst-search="


@pytest.fixture
def tiny(sandbox: Sandbox) -> Sandbox:
    return write(sandbox)


def started(tiny: Sandbox, name: str, share: str) -> "subprocess.Popen[str]":
    options = ("--seed=3", f"--shards=0-{SHARDS - 1}", "--profile=wrong", f"--share={share}", f"--name={name}")
    return tiny.start(PYTHON, KIT / "tools" / "search.py", *options, "--workers=1", TOSS_SECONDS="0.05")


def ended(process: "subprocess.Popen[str]") -> int:
    process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode


def undisturbed(tiny: Sandbox, name: str, share: str) -> int:
    return ended(started(tiny, name, share))


def killed(tiny: Sandbox, name: str, share: str) -> int:
    """Kill a search somewhen, or its worker, and start it again."""
    moment = random.Random(share)
    process = started(tiny, name, share)
    file = tiny.root / ".pgdst" / "search" / name / "shards.jsonl"
    deadline = time.monotonic() + moment.uniform(0, 4)
    while time.monotonic() < deadline or (moment.random() < 0.9 and not file.exists()):
        time.sleep(0.01)
    victims = [process, *workers_of(process)] if moment.random() < 0.5 else [process]
    for one in victims:
        one.send_signal(signal.SIGKILL)
    status = ended(process)
    assert status in (-signal.SIGKILL, 0, 1)  # it may have ended before
    return undisturbed(tiny, name, share)


def workers_of(process: "subprocess.Popen[str]") -> list[Any]:
    children = psutil.Process(process.pid).children() if process.poll() is None else []
    return [one for one in children if any(WORKER in word for word in one.cmdline())]


Run = Callable[[Sandbox, str, str], int]


def in_shares(tiny: Sandbox, count: int, how: Callable[[int], Run] = lambda _number: undisturbed) -> list[Path]:
    """Run the search in so many shares, some side by side, and return their folders."""

    def run(number: int) -> Path:
        name = f"{number}-of-{count}"
        folder = tiny.root / ".pgdst" / "search" / name
        status = how(number)(tiny, name, f"{number}/{count}")
        assert int(any(line["failure"] for line in lines(folder).values())) == status
        return folder

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(run, range(1, count + 1)))


def merged(tiny: Sandbox, *folders: Path) -> dict[str, Any]:
    """Merge folders, and return what does not depend on who was how fast."""
    done = tiny.script("merge_searches.py", *folders, "--to=merged")
    assert 1 == done.returncode, done.stderr  # there are failures, all shards are there, and no hash differs
    return whatever_the_pace(json.loads((tiny.root / "merged" / "report.json").read_text()))


def test_64_shards_by_one_by_two_by_eight_and_by_some_that_are_killed(tiny: Sandbox) -> None:
    one = in_shares(tiny, 1)
    two = in_shares(tiny, 2)
    eight = in_shares(tiny, 8)

    disturbed = in_shares(tiny, 9, lambda number: undisturbed if number % 3 else killed)
    expected = hashes(one[0])
    assert set(range(SHARDS)) == expected.keys()
    for shard in (20, 43):  # a toss, and a roll, which reads the seed of its run
        place = (f"--seed={3 + shard // SHARDS_A_RUN}", f"--shard={shard % SHARDS_A_RUN}", "--profile=wrong")
        assert expected[shard] == hash_in(tiny.script("run_simulation.py", *place).stdout)
    assert len(set(expected.values())) > SHARDS / 2
    report = merged(tiny, *one)
    for folders in (two, eight, disturbed):
        found = [hashes(folder) for folder in folders]
        assert SHARDS == sum(map(len, found))
        assert expected == {shard: digest for part in found for shard, digest in part.items()}
        assert report == merged(tiny, *folders)
    assert report == merged(tiny, *one, *two, *eight, *disturbed)


def test_another_hash_is_a_determinism_failure(tiny: Sandbox) -> None:
    """As by a simulation that reads something of its machine."""
    one = in_shares(tiny, 1)[0]
    tiny.environment["DISTURBED"] = "by another machine"
    two = in_shares(tiny, 2)[0]
    done = tiny.script("merge_searches.py", one, two, "--to=merged")
    assert 3 == done.returncode, done.stderr
    differing = json.loads((tiny.root / "merged" / "report.json").read_text())["differing"]
    # The rolls read nothing: the last two of each five.
    assert [shard for shard in range(0, SHARDS, 2) if shard % 5 < 3] == [one["shard"] for one in differing]
