"""Signals to a server's processes, on either engine."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
from conftest import leased_server
from pgdst.server.embedded.engine import EmbeddedEngine
from psycopg.generators import execute
from psycopg.waiting import wait
from races import Races
from tiny_backend import KIT

ANSWERS_SECONDS = 10

STOP_AND_DIE = """
import os, signal, sys
from pgdst.server.address import from_environment
from pgdst.simulation.gate.server_processes import server_processes_of

with server_processes_of(from_environment(os.environ)) as backends:
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


@pytest.mark.long  # Postgres waits for 5 s
@pytest.mark.skipif(sys.platform != "linux", reason="shared memory is listed elsewhere on other systems")
def test_an_embedded_server_with_a_stopped_process_leaves_neither_it_nor_shared_memory() -> None:
    """It kills what does not end, and only then may it be killed itself."""
    with leased_server(EmbeddedEngine()) as server:
        stopped = server.connect()
        row = stopped.execute("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)").fetchone()
        assert row
        assert row[0] in creators_of_shared_memory()
        # In the server's folder, which is removed with all that is in it.
        assert ("mmap",) == stopped.execute("SHOW dynamic_shared_memory_type").fetchone()
        backend = stopped.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
    stopped.close()
    assert not psutil.pid_exists(backend)
    assert row[0] not in creators_of_shared_memory()


def creators_of_shared_memory() -> set[str]:
    """Return the processes that have made the System V segments that there are."""
    _, *lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()
    return {line.split()[4] for line in lines}
