"""SIGKILL, at random moments, to each process of a run: nothing of the run may outlive its last process."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import tiny_backend
from conftest import Sandbox
from leftovers import REACHED_SECONDS, find

VICTIMS = {
    "make": "make",
    "shell": "with_postgres.sh",
    "start": "db_up.py",
    "migration": "migrate",
    "pytest": "pytest",
    "holder": "pgdst.server.lifetime.holder",
    "supervisor": "pgdst.server.embedded.supervisor",
}
# A storm of 500 by hand: KILLS=250 .venv/bin/python -m pytest tools/tests/test_kill.py
DOCKER_ROUNDS = int(os.environ.get("KILLS", "50"))
EMBEDDED_ROUNDS = int(os.environ.get("KILLS", "15"))
LANES = 4  # runs at a time: most of a run is waiting
RUN_ENDS_WITHIN_SECONDS = 60
KEEPERS = (VICTIMS["holder"], VICTIMS["supervisor"], "postgres")  # they end after the run, and because of its end
RUN_SECONDS = 1.0
LEFT_SECONDS = 20.0  # at most; on a busy machine the daemon takes its time
ALL = "all"  # the whole process group


@pytest.fixture
def lanes(tmp_path: Path, new_sandbox: Callable[[Path | None], Sandbox]) -> list[Sandbox]:
    """Checkouts of the kit of their own, so that each lane sees its own containers only."""
    made = []
    for lane in range(LANES):
        root = tiny_backend.copy_kit(tmp_path / f"kit{lane}")
        tiny = tiny_backend.write(root / "tiny").root
        sandbox = new_sandbox(root)
        sandbox.environment = {
            "PGDST_BACKEND": str(tiny),
            "PGDST_ALEMBIC_INI": str(tiny / "alembic.ini"),
            "PGDST_SIMULATION": str(tiny / "tests" / "simulation"),
            "TINY_SECONDS": str(RUN_SECONDS),
        }
        made.append(sandbox)
    return made


@pytest.mark.long
@pytest.mark.parametrize(
    ("engine", "victims", "rounds"),
    [
        (
            "docker",
            ["make", "shell", "start", "migration", "pytest", "holder", ALL, "shell start", "start holder"],
            DOCKER_ROUNDS,
        ),
        (
            "embedded",
            ["make", "shell", "start", "migration", "pytest", "supervisor", ALL, "shell start", "start supervisor"],
            EMBEDDED_ROUNDS,
        ),
    ],
)
def test_sigkill_to_any_process_at_any_moment_leaves_nothing(
    lanes: list[Sandbox], engine: str, victims: list[str], rounds: int
) -> None:
    """Soon after a run's last process has ended, its container, volumes and processes are gone.

    Its folder too, but where it was killed in the very moment of its making or of its removal, and a container that
    was not started yet: the next start has removed them.
    """
    plan = [(victims[number % len(victims)], random.Random(f"{engine}{number}")) for number in range(rounds)]

    def lane(index: int) -> list[str]:
        return [kill_one(lanes[index], engine, victim, moment) for victim, moment in plan[index::LANES]]

    with ThreadPoolExecutor(LANES) as pool:
        killed = [name for names in pool.map(lane, range(LANES)) for name in names]
    assert rounds == len(killed)


def kill_one(sandbox: Sandbox, engine: str, victim: str, moment: random.Random) -> str:
    """Start a run, kill one process of it somewhen, and look at what is left once the run has ended."""
    if {"start", "migration"} & set(victim.split()):  # as a snapshot is made, which takes an edited model
        tables = Path(sandbox.environment["PGDST_BACKEND"]) / "tables.py"
        tables.write_text(f"{tables.read_text()}# {moment.random()}\n")
    process = sandbox.start("make", "test-dst", f"ENGINE={engine}")
    *others, last = [VICTIMS[name] for name in victim.split() if name != ALL] or [VICTIMS["make"]]
    found = wait_for(sandbox, process, last)
    # From its first moment on: a migration lives for less than a second, the shell from the start to the end.
    delay = moment.uniform(0, 0.7 if victim == "migration" else 3.0)
    time.sleep(delay)
    if victim == ALL:
        os.killpg(process.pid, signal.SIGKILL)
    for one in [found, *(one for other in others for one in find(sandbox.leftovers.processes(), other))]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    wait_for_the_end(sandbox)
    left = sandbox.leftovers.left_after(LEFT_SECONDS)
    if set(left) <= {"folders", "containers"}:
        sandbox.run("make", "test-dst", f"ENGINE={engine}")
        left = sandbox.leftovers.left_after(LEFT_SECONDS)
    talk = process.communicate(timeout=10)
    assert not left, f"SIGKILL to {victim} after {delay:.3f} s left {left}\n{talk[0]}\n{talk[1]}"
    return victim


def wait_for(sandbox: Sandbox, process: "subprocess.Popen[str]", script: str) -> psutil.Process:
    """Return the run's process that executes this script, as soon as there is one."""
    deadline = time.monotonic() + REACHED_SECONDS
    while time.monotonic() < deadline:
        for found in find(sandbox.leftovers.processes(), script):
            return found
        assert process.poll() is None, f"the run ended before {script}: {process.communicate()}"
        time.sleep(0.03)
    raise AssertionError(f"no {script} within {REACHED_SECONDS} s")


def wait_for_the_end(sandbox: Sandbox) -> None:
    """Return once no process of the run lives but those that end because of that; fail where one never ends."""
    deadline = time.monotonic() + RUN_ENDS_WITHIN_SECONDS
    while True:
        processes = sandbox.leftovers.processes()
        keepers = {process.pid for keeper in KEEPERS for process in find(processes, keeper)}
        running = [process for process in processes if process.pid not in keepers and not is_backend(process)]
        if not running:
            return
        assert time.monotonic() < deadline, f"never ended: {running}"
        time.sleep(0.03)


def is_backend(process: psutil.Process) -> bool:
    """Tell whether it is a process of an embedded Postgres server, which renames itself."""
    try:
        return process.name().startswith("postgres")
    except psutil.NoSuchProcess:
        return True
