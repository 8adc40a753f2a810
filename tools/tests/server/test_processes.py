"""Signals to a server's processes, on either engine."""

import select
import signal
import subprocess
import sys

import psycopg
from psycopg.generators import execute
from psycopg.waiting import wait
from races import Races
from tiny_backend import KIT

ANSWERS_SECONDS = 10

STOP_AND_DIE = """
import os, signal, sys
from pgdst.server.address import from_environment
from pgdst.simulation.backends import backends_of

with backends_of(from_environment(os.environ)) as backends:
    backends.freeze(int(sys.argv[1]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_stopped_goes_on_when_who_stopped_it_is_killed(races: Races) -> None:
    """Else a later run would wait for it forever, and an embedded server would leave it behind."""
    backend = races.observer.info.backend_pid
    with races.server.as_environment():
        done = subprocess.run(
            [sys.executable, "-c", STOP_AND_DIE, str(backend)], cwd=KIT / "tools", check=False, timeout=30
        )
    assert -signal.SIGKILL == done.returncode
    pgconn = races.observer.pgconn
    pgconn.send_query(b"SELECT 1")
    assert [pgconn.socket] == select.select([pgconn.socket], [], [], ANSWERS_SECONDS)[0]
    assert psycopg.pq.ExecStatus.TUPLES_OK == wait(execute(pgconn), pgconn.socket)[0].status
