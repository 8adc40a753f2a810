"""Directories of dead runs are found and removed, and no others."""

import json
import os
import subprocess
import time

import pytest
from conftest import KIT, PYTHON, Sandbox
from pgdst.server.lifetime.ownership import owner


@pytest.mark.alone
def test_a_left_run_directory_is_swept_and_a_live_one_is_not(sandbox: Sandbox) -> None:
    """A directory whose maker is dead and whose fifo nobody holds is removed; one without our mark stays."""
    left, strange = sandbox.scratch / "pgdst-AAAAAAAAAA", sandbox.scratch / "pgdst-not-ours"
    left.mkdir()
    strange.mkdir()
    os.mkfifo(left / "lease")
    (left / "owner").write_text(dead_owner())
    assert f"Removed {left}." in sandbox.script("sweep.py").stderr
    assert not left.exists()
    assert strange.exists()
    strange.rmdir()


@pytest.mark.alone
def test_a_directory_is_known_from_its_making_to_the_last_of_its_removal(sandbox: Sandbox) -> None:
    """By its name: doctor names it at once, and a start removes it, but not one of a maker that lives or is unknown."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    new, half, living, strange = (
        sandbox.scratch / f"pgdst-{name}" for name in (f"{dead.pid}-a1", f"{dead.pid}-b2", f"{os.getpid()}-c3", "x-d4")
    )
    for path in (new, half, living, strange):
        path.mkdir()
    (half / "server").mkdir()  # of what a removal that was killed has left
    time.sleep(1)
    said = sandbox.script("doctor.py", "--engine", "embedded").stdout
    assert f"leftover run directories: {new}, {half} -> {PYTHON} {KIT}/tools/sweep.py" in said
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert 0 == done.returncode, done.stderr
    assert {living, strange} == set(sandbox.scratch.glob("pgdst-*"))
    for path in (living, strange):
        path.rmdir()


def dead_owner() -> str:
    """Return the owner's mark of a process of this host that is no more."""
    return json.dumps({**owner(), "pid": 1, "started": 1.0})
