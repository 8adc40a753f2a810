"""The lease: a server lives as long as the last process of its run, and no longer."""

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import KIT, PYTHON, Sandbox
from leftovers import REACHED_SECONDS, eventually
from pgdst.server.lifetime import directory, lease


def test_the_database_dies_with_the_last_process_of_its_run(sandbox: Sandbox) -> None:
    """A grandchild that outlives the shell keeps the database; when it is killed, everything is gone in two seconds."""
    process = sandbox.start(KIT / "tools" / "with_postgres.sh", "--", "sh", "-c", "sleep 300 & wait")
    sleeper = eventually(lambda: named(sandbox, "sleep"), REACHED_SECONDS, "the command")[0]
    for other in named(sandbox, "bash", "sh"):
        other.kill()
    process.wait(10)
    time.sleep(1)
    assert sandbox.leftovers.containers(), "the database was gone while a process of its run lived"
    sleeper.kill()
    process.communicate()
    assert {} == sandbox.leftovers.left_after(REACHED_SECONDS)


@pytest.mark.long
def test_pytest_by_hand_starts_a_leased_server_of_its_own(sandbox: Sandbox) -> None:
    """Without make: the fixture starts one, DATABASE_URL leads to it, and SIGKILL to pytest removes it."""
    (sandbox.root / "tests" / "test_hand.py").write_text(
        "import os, time\n"
        "def test_hand(migrated_server, database):\n"
        "    assert os.environ['DATABASE_URL'] == migrated_server.url != database\n"
        "    open('reached', 'w').close()\n"
        "    time.sleep(float(os.environ['HAND_SECONDS']))\n"
    )
    command = (PYTHON, "-m", "pytest", "-q", "tests/test_hand.py")
    elsewhere = {"DATABASE_URL": "postgresql://127.0.0.1:9/production", "PYTHONPATH": str(KIT / "tools")}
    done = sandbox.run(*command, HAND_SECONDS="0", **elsewhere)
    assert 0 == done.returncode, done.stdout
    assert "ResourceWarning" not in done.stderr
    assert {} == sandbox.leftovers.left_after()
    (sandbox.root / "reached").unlink()
    killed = sandbox.start(*command, HAND_SECONDS="60", **elsewhere)
    eventually((sandbox.root / "reached").exists, REACHED_SECONDS, "the test")
    killed.kill()
    killed.communicate()
    assert {} == sandbox.leftovers.left_after()


def named(sandbox: Sandbox, *programs: str) -> list[psutil.Process]:
    """Return the run's processes of these programs."""
    found = []
    for process in sandbox.leftovers.processes():
        with suppress(psutil.NoSuchProcess):
            found += [process] * (process.name() in programs)
    return found


def test_an_interruption_as_soon_as_the_directory_is_there_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held back until somebody would remove the directory."""
    made = []

    def interrupted() -> Path:
        made.append(make())
        signal.raise_signal(signal.SIGTERM)
        return made[0]

    def end(_number: int, _frame: object) -> None:
        raise SystemExit

    make = directory.make
    monkeypatch.setattr(directory, "make", interrupted)
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit), lease.own():
            pytest.fail("The block was entered.")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [False] == [one.exists() for one in made]
