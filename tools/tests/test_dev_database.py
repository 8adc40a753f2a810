"""make db-up and its kin: one database a checkout, with a time to live."""

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import docker
import psutil
import psycopg
import pytest
import tiny_backend
from conftest import ENGINES, KIT, PYTHON, Sandbox
from leftovers import REACHED_SECONDS, command_line, eventually, find, read_until
from tiny_backend import Backend


@pytest.fixture(params=ENGINES)
def dev(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox in which an engine is chosen, and whose database is removed at the end."""
    sandbox.environment["PGDST_ENGINE"] = request.param
    yield sandbox
    assert 0 == sandbox.script("db_down.py").returncode


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a query at a URL that the kit printed."""
    with psycopg.connect(url.strip().replace("+psycopg", "")) as connection:
        return connection.execute(sql).fetchall()


def test_db_up_prints_the_url_alone_and_twice_the_same(dev: Sandbox) -> None:
    """The second call names the database that is up; what is in it stays."""
    first = dev.script("db_up.py")
    assert 0 == first.returncode, first.stderr
    assert 1 == len(first.stdout.splitlines())
    query(first.stdout, "INSERT INTO things VALUES (7) RETURNING id")
    second = dev.script("db_up.py")
    assert first.stdout == second.stdout == dev.script("db_url.py").stdout
    assert "Already up" in second.stderr
    assert [(7,)] == query(second.stdout, "SELECT id FROM things")


def test_db_up_twice_at_once_makes_one_database(dev: Sandbox) -> None:
    """Two terminals at the same moment get the same URL."""
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: dev.script("db_up.py"), range(2)))
    assert [0, 0] == [one.returncode for one in done], [one.stderr for one in done]
    assert done[0].stdout == done[1].stdout


@pytest.mark.long
def test_db_up_eight_times_at_once_makes_one_database_every_time(dev: Sandbox) -> None:
    """25 times on each engine; all are told of the same one, which answers."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(25):
            done = list(pool.map(lambda _: dev.script("db_up.py"), range(8)))
            assert [0] * 8 == [one.returncode for one in done], [one.stderr for one in done]
            [url] = {one.stdout for one in done}
            assert [(0,)] == query(url, "SELECT count(*) FROM things")
            assert 0 == dev.script("db_down.py").returncode


def test_db_down_says_what_it_removed_and_nothing_is_success(dev: Sandbox) -> None:
    """Once it names the database, then there is none."""
    dev.script("db_up.py")
    assert "Removed " in dev.script("db_down.py").stderr
    again = dev.script("db_down.py")
    assert (0, "No database of this checkout was up.\n") == (again.returncode, again.stderr)


@pytest.mark.long
def test_a_database_removes_itself_after_its_time(dev: Sandbox) -> None:
    """A time to live of a few seconds: then nothing is there any more."""
    assert 0 == dev.script("db_up.py", "--ttl-hours", f"{6 / 3600:.6f}").returncode
    assert dev.leftovers.left()
    eventually(lambda: not dev.leftovers.left(), 12, "the database removes itself")


def test_a_migration_that_fails_leaves_no_new_database(dev: Sandbox) -> None:
    """db_up.py removes what it started, but not what was there before."""
    broken = dev.root / "migrations" / "versions" / "0002_broken.py"
    broken.write_text("revision, down_revision = '0002', '0001_things'\ndef upgrade(): raise ValueError('no')\n")
    failed = dev.script("db_up.py")
    assert 1 == failed.returncode
    assert "in revision 0002" in failed.stderr
    assert {} == dev.leftovers.left_after()
    text = broken.read_text()
    broken.unlink()
    url = dev.script("db_up.py").stdout
    broken.write_text(text)
    assert 1 == dev.script("db_up.py").returncode
    broken.unlink()
    assert url == dev.script("db_url.py").stdout


def test_psql_has_our_streams_and_its_status_is_ours(dev: Sandbox) -> None:
    """db_shell.py gives psql our standard streams, and returns what psql returns."""
    dev.script("db_up.py")
    good = dev.script("db_shell.py", "--", "-XAtc", "SELECT 6*7")
    assert (0, "42\n") == (good.returncode, good.stdout), good.stderr
    bad = dev.script("db_shell.py", "--", "-X", "-v", "ON_ERROR_STOP=1", "-c", "SELECT nonsense")
    assert 1 == bad.returncode
    assert 'column "nonsense" does not exist' in bad.stderr


def test_without_a_database_db_url_says_what_to_do(dev: Sandbox) -> None:
    """No database, no URL: status 1 and what to call."""
    done = dev.script("db_url.py")
    assert (1, "") == (done.returncode, done.stdout)
    assert f"Start one: {PYTHON} {KIT}/tools/db_up.py" in done.stderr


@pytest.mark.parametrize("stage_seconds", [0.3, pytest.param(0.9, marks=pytest.mark.long)])
def test_a_killed_db_up_can_be_done_again(dev: Sandbox, stage_seconds: float) -> None:
    """Whenever db_up.py is killed, db_down.py removes what there is, and db_up.py works again."""
    process = dev.start(PYTHON, KIT / "tools" / "db_up.py")
    time.sleep(stage_seconds)
    process.kill()
    process.communicate()
    assert 0 == dev.script("db_down.py").returncode
    eventually(lambda: not dev.leftovers.containers(), 5, "the container is gone")
    assert 0 == dev.script("db_up.py").returncode


def is_unpacking(sandbox: Sandbox) -> bool:
    """Tell whether a snapshot is being unpacked for the database of the checkout."""
    folder = str(sandbox.scratch / "pgdst-dev-")  # not by the mark: what works for Postgres has no environment of ours
    return any(folder in str(command_line(one)) for one in find(list(psutil.process_iter()), "tar"))


def is_making_a_snapshot(sandbox: Sandbox) -> bool:
    """Tell whether a folder was made for the server that a snapshot comes from."""
    return any(sandbox.scratch.glob("pgdst-*/server/owner"))


@pytest.mark.parametrize("is_half_made", [is_unpacking, is_making_a_snapshot])
def test_an_embedded_db_up_killed_with_a_half_made_folder_leaves_nothing(
    cold_sandbox: Sandbox, is_half_made: Callable[[Sandbox], bool]
) -> None:
    """Be it before there is a supervisor that would remove it, or while the snapshot is being unpacked."""
    cold_sandbox.environment["PGDST_ENGINE"] = "embedded"
    process = cold_sandbox.start(PYTHON, KIT / "tools" / "db_up.py")
    eventually(lambda: is_half_made(cold_sandbox), REACHED_SECONDS, "the half-made folder", pause=0)
    process.kill()
    process.communicate()
    assert 0 == cold_sandbox.script("db_down.py").returncode
    assert {} == cold_sandbox.leftovers.left_after()


@pytest.mark.parametrize("signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP]])
@pytest.mark.parametrize("seconds", [0.6, pytest.param(1.3, marks=pytest.mark.long)])
def test_an_interrupted_db_up_leaves_nothing(
    cold_sandbox: Sandbox, signals: list[signal.Signals], seconds: float
) -> None:
    """Ctrl-C twice, SIGTERM or SIGHUP while it starts: no container stays."""
    process = cold_sandbox.start(PYTHON, KIT / "tools" / "db_up.py")
    time.sleep(seconds)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    process.communicate(timeout=30)
    assert 0 != process.returncode
    assert {} == cold_sandbox.leftovers.left_after()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_db_up_interrupted_while_docker_creates_leaves_nothing(sandbox: Sandbox, number: signal.Signals) -> None:
    """At the very moment at which there is a container whose id db_up.py has not been told yet."""
    wanted = {"event": "create", "label": f"pgdst.checkout={sandbox.leftovers.checkout}"}
    events = sandbox.leftovers.client.api.events(decode=True, filters=wanted)
    process = sandbox.start(PYTHON, KIT / "tools" / "db_up.py")
    assert "create" == next(events)["Action"]
    process.send_signal(number)
    process.communicate(timeout=30)
    events.close()
    assert 0 != process.returncode
    assert {} == sandbox.leftovers.left_after()


@pytest.mark.long
def test_two_migrations_at_once_build_an_index_concurrently(dev: Sandbox) -> None:
    """Whoever waits for the other's migration does not stand in the way of CREATE INDEX CONCURRENTLY."""
    body = (
        "with op.get_context().autocommit_block():\n"
        "        op.execute('SELECT pg_sleep(1)')\n"
        "        op.execute('CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_things ON things (id)')"
    )
    Backend(dev.root).migrate("0002_index", body, "0001_things")
    tables = dev.root / "tables.py"
    tables.write_text(
        tables.read_text() + "from sqlalchemy import Index\nIndex('ix_things', metadata.tables['things'].c.id)\n"
    )
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: dev.script("db_up.py"), range(2)))
    assert [0, 0] == [one.returncode for one in done], [one.stderr for one in done]


@pytest.mark.alone
def test_a_stranger_with_a_look_alike_name_is_untouched(sandbox: Sandbox, docker_client: docker.DockerClient) -> None:
    """Containers are known by label: db_down.py and sweep.py leave one that merely looks like ours."""
    sandbox.script("db_up.py")
    [ours] = sandbox.leftovers.containers()
    image = docker_client.containers.get(ours.lstrip("/")).attrs["Image"]
    stranger = docker_client.api.create_container(image, name=f"{ours.lstrip('/')}-1", entrypoint=["sleep", "600"])[
        "Id"
    ]
    try:
        docker_client.api.start(stranger)
        assert 0 == sandbox.script("db_down.py").returncode
        assert 0 == sandbox.script("sweep.py").returncode
        assert docker_client.api.inspect_container(stranger)["State"]["Running"]
    finally:
        docker_client.api.remove_container(stranger, force=True, v=True)


def test_psql_in_a_terminal_has_the_terminal(sandbox: Sandbox) -> None:
    """Typed in a terminal: psql answers, and its end is ours."""
    assert 0 == sandbox.script("db_up.py").returncode
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environment = {**os.environ, **sandbox.places(), "TERM": "xterm", "COLUMNS": "", "LINES": ""}
    process = subprocess.Popen(
        [str(PYTHON), str(KIT / "tools" / "db_shell.py")], cwd=sandbox.root, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    assert b"pgdst=#" in read_until(ours, b"pgdst=# ")
    os.write(ours, b"SELECT 6*7 AS answer;\r\\q\r")
    assert b"42" in read_until(ours, b"never")
    os.close(ours)
    assert 0 == process.wait(10)
    assert 0 == sandbox.script("db_down.py").returncode


def test_serve_serves_the_backend_from_the_database_that_is_up(
    tmp_path: Path, new_sandbox: Callable[[Path | None], Sandbox]
) -> None:
    """An agent that is registered at its port is in that database; Ctrl-C ends it."""
    sandbox = new_sandbox(tiny_backend.copy_kit(tmp_path / "kit"))
    sandbox.environment["PGDST_ENGINE"] = "embedded"
    up = sandbox.script("db_up.py")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = sandbox.start("make", "serve", f"PORT={port}", "ENGINE=embedded")
    try:
        eventually(lambda: accepts(port), REACHED_SECONDS, "the server")
        with closing(HTTPConnection("127.0.0.1", port)) as client:
            client.request("POST", "/agents", '{"username": "ada"}', {"Content-Type": "application/json"})
            assert 201 == client.getresponse().status
        assert [("ada",)] == query(up.stdout, "SELECT username FROM agents")
    finally:
        os.killpg(served.pid, signal.SIGINT)
        served.communicate(timeout=REACHED_SECONDS)
        sandbox.script("db_down.py")


def accepts(port: int) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
