"""The worker's end of the conversation with its search."""

import subprocess

import pytest
from conftest import DEADLINE_SECONDS, KIT, PYTHON

WORKER = """
import os, socket, sys, time
from pgdst.pytest.search_worker import _Conversation

ours, theirs = socket.socketpair()
conversation = _Conversation(os.dup(ours.fileno()))
ours.close()
if "unread" in sys.argv:
    conversation.send({"shard": {}})
theirs.close()
conversation.next() if "waits" in sys.argv else time.sleep(900)
time.sleep(900)
"""


@pytest.mark.parametrize("how", ["unread", "waits", "unread waits", "works"])
def test_a_worker_ends_with_its_search_whatever_it_is_at(how: str) -> None:
    """Also if the search has not read all that it was told: then its connection is reset."""
    done = subprocess.run(
        [str(PYTHON), "-c", WORKER, *how.split()],
        env={"PYTHONPATH": str(KIT / "tools")},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (1, "", "") == (done.returncode, done.stdout, done.stderr)
