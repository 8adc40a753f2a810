"""The URL of a server leads each driver to it, also after pydantic has read it."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import SystemRandom

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psutil
import psycopg
import psycopg2  # type: ignore[import-untyped]  # as asyncpg
import pytest
from conftest import Sandbox, leased_server
from pgdst.errors import ServerNotReadyError
from pgdst.server.address import Server, from_environment
from pgdst.server.embedded import engine as embedded
from pgdst.server.embedded import wheel
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.server.processes import processes_of
from pydantic import PostgresDsn
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from tiny_backend import Backend

QUERY = "SELECT current_setting('pgdst.run_id')"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with leased_server(EmbeddedEngine()) as found:
        yield found


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[Server]:
    with leased_server(EmbeddedEngine(tcp=True)) as found:
        yield found


def by_psycopg(url: str) -> object:
    with psycopg.connect(url) as connection:
        return (connection.execute(QUERY).fetchone() or [None])[0]


def by_psycopg2(url: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def by_psql(url: str) -> object:
    command = [str(wheel.program("psql")), "--no-psqlrc", "--tuples-only", "--no-align", "--command", QUERY, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def by_asyncpg(url: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(QUERY)
        finally:
            await connection.close()

    return asyncio.run(ask())


def by_sqlalchemy(driver: str) -> Callable[[str], object]:
    def ask(url: str) -> object:
        engine = create_engine(url.replace("postgresql", f"postgresql+{driver}"))
        with engine.connect() as connection:
            found: object = connection.scalar(text(QUERY))
        engine.dispose()
        return found

    return ask


def by_sqlalchemys_asyncpg(url: str) -> object:
    async def ask() -> object:
        engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg"))
        async with engine.connect() as connection:
            found: object = await connection.scalar(text(QUERY))
        await engine.dispose()
        return found

    return asyncio.run(ask())


DRIVERS = {
    "psycopg": by_psycopg,
    "psycopg2": by_psycopg2,
    "psql": by_psql,
    "SQLAlchemy, psycopg": by_sqlalchemy("psycopg"),
    "SQLAlchemy, psycopg2": by_sqlalchemy("psycopg2"),
    "SQLAlchemy, asyncpg": by_sqlalchemys_asyncpg,
}


@pytest.mark.parametrize("ask", DRIVERS.values(), ids=DRIVERS)
def test_the_url_of_a_socket_leads_to_it(server: Server, ask: Callable[[str], object]) -> None:
    url = str(PostgresDsn(server.url)).replace("+psycopg", "")
    assert server.run_id == ask(url)


@pytest.mark.parametrize("ask", [*DRIVERS.values(), by_asyncpg], ids=[*DRIVERS, "asyncpg"])
def test_the_url_of_a_port_leads_to_it(tcp_server: Server, ask: Callable[[str], object]) -> None:
    url = str(PostgresDsn(tcp_server.url)).replace("+psycopg", "")
    assert f"@127.0.0.1:{tcp_server.port}/pgdst" in url
    assert tcp_server.run_id == ask(url)


def test_it_listens_on_loopback_alone_and_wants_the_password(tcp_server: Server) -> None:
    with tcp_server.connect() as connection:
        assert ("127.0.0.1",) == connection.execute("SHOW listen_addresses").fetchone()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(tcp_server.url.replace("+psycopg", "").replace(tcp_server.password, "wrong"))


def test_signals_go_to_its_processes_on_this_machine(tcp_server: Server) -> None:
    """The host alone does not tell it from a container; a process of the run learns it from the environment."""
    with tcp_server.as_environment():
        found = from_environment(os.environ)
    assert tcp_server == found
    with tcp_server.connect() as connection, processes_of(found) as processes:
        session = psutil.Process(connection.info.backend_pid)
        processes.stop(session.pid)
        assert psutil.STATUS_STOPPED == session.status()
        processes.resume(session.pid)
        assert (1,) == connection.execute("SELECT 1").fetchone()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[range]:
    """Ports on which somebody listens, which are all that may be drawn."""
    with ExitStack() as listeners:
        ports = range(30000, 30000)
        while len(ports) < 3:  # three beside one another
            try:
                listeners.enter_context(socket.create_server(("127.0.0.1", ports.stop)))
                ports = range(ports.start, ports.stop + 1)
            except OSError:
                listeners.close()
                ports = range(ports.stop + 1, ports.stop + 1)
        monkeypatch.setattr(embedded, "PORTS", ports)
        yield ports


@pytest.mark.long
def test_a_port_that_is_taken_is_another_attempt(taken: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres says so itself, and nobody looks before."""
    monkeypatch.setattr(embedded, "PORTS", range(taken.start, taken.stop + 20))
    monkeypatch.setattr(embedded, "PORT_ATTEMPTS", len(embedded.PORTS))
    drawn = list(embedded.PORTS)
    monkeypatch.setattr(SystemRandom, "sample", lambda _self, _ports, _count: drawn)  # the taken ones first
    with leased_server(EmbeddedEngine(tcp=True)) as server:
        assert server.port in range(taken.stop, taken.stop + 20)


@pytest.mark.long
def test_attempts_are_bounded(taken: range) -> None:
    with (
        pytest.raises(ServerNotReadyError, match=r"Others listen on 127\.0\.0\.1 at all of the ports") as caught,
        leased_server(EmbeddedEngine(tcp=True)),
    ):
        pass
    assert all(str(port) in str(caught.value) for port in taken)


def test_a_run_is_led_to_the_port_and_nowhere_else(sandbox: Sandbox) -> None:
    """By every variable; the guard of the tests knows it."""
    test = (
        "import os, psycopg, pytest\n"
        "from pgdst.errors import ForeignServerError\n"
        "def test_it(database):\n"
        "    assert os.environ['PGHOST'] == '127.0.0.1'\n"
        "    assert os.environ['MINE'] == f\"127.0.0.1:{os.environ['PGPORT']}\"\n"
        "    assert os.environ['MINE'] in database\n"
        "    with psycopg.connect(database.replace('+psycopg', '')) as connection:\n"
        "        assert connection.info.host == '127.0.0.1'\n"
        "    with pytest.raises(ForeignServerError):\n"
        "        psycopg.connect(host='127.0.0.1', port=1)\n"
    )
    Backend(sandbox.root).configure('backend = "."\nenvironment = { MINE = "{host}:{port}" }')
    done = sandbox.test(test, "--engine", "embedded", "--embedded-tcp", "1")
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_database_that_has_no_port_is_not_taken_for_one_that_has(sandbox: Sandbox) -> None:
    """One error, and what to do; the other way round both are served, as the socket is not missed."""
    tcp = {"PGDST_ENGINE": "embedded", "PGDST_EMBEDDED_TCP": "1"}
    assert 0 == sandbox.script("db_up.py", PGDST_ENGINE="embedded").returncode
    refused = sandbox.script("db_up.py", **tcp)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "on a Unix socket alone. Run: " in refused.stderr
    assert 0 == sandbox.script("db_down.py", PGDST_ENGINE="embedded").returncode
    url = sandbox.script("db_up.py", **tcp).stdout
    assert "@127.0.0.1:" in url
    assert url == sandbox.script("db_url.py", PGDST_ENGINE="embedded").stdout
    assert url == sandbox.script("db_up.py", PGDST_ENGINE="embedded").stdout
    assert 0 == sandbox.script("db_down.py", PGDST_ENGINE="embedded").returncode


def test_asyncpg_alone_takes_the_variables_and_finds_nobody_by_the_url(server: Server) -> None:
    """It does not look into the URL's query where there is a host before it: at port 1 nobody answers."""
    with server.as_environment():
        assert server.run_id == by_asyncpg("postgresql://")
        with pytest.raises(OSError, match="Connect call failed"):
            by_asyncpg(os.environ["DATABASE_URL"].replace("+psycopg", ""))
