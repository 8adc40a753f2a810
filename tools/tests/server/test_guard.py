"""No connection leads elsewhere than to the run's server: not in migrations, not in tests, by no driver."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psycopg
import psycopg2  # type: ignore[import-untyped]  # as asyncpg
import pytest
from conftest import KIT, PYTHON, QUICKER_ENGINE, Sandbox
from developers import Developers
from pgdst.errors import ForeignServerError
from pgdst.server.address import Server
from pgdst.server.guard import GUARD
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from tiny_backend import Backend

# A settings object that reads .env, as pydantic's do, and an env.py that uses nothing but it.
SETTINGS = """
import os
from pathlib import Path

lines = (Path(__file__).parent / ".env").read_text().splitlines()
values = {**dict(line.split("=", 1) for line in lines), **os.environ}
URL = "postgresql+psycopg://{POSTGRES_USER}:{POSTGRES_PASSWORD}@/{POSTGRES_DB}?host={POSTGRES_SERVER}&port={POSTGRES_PORT}"
URL = URL.format_map(values)
"""
ENV = """
from alembic import context
from settings import URL
from sqlalchemy import create_engine, NullPool
from tables import metadata

with create_engine(URL, poolclass=NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
MAPPED = """backend = "."

[tool.pgdst.environment]
POSTGRES_SERVER = "{host}"
POSTGRES_PORT = "{port}"
POSTGRES_USER = "{user}"
POSTGRES_PASSWORD = "{password}"
POSTGRES_DB = "{database}"
"""


@pytest.fixture
def backend(sandbox: Sandbox, developers: Developers) -> Sandbox:
    """One whose settings come from a .env that names the developer's own database."""
    own = {"SERVER": "127.0.0.1", "PORT": developers.port, "USER": "me", "PASSWORD": "secret", "DB": "mine"}
    (sandbox.root / ".env").write_text("".join(f"POSTGRES_{name}={value}\n" for name, value in own.items()))
    (sandbox.root / "settings.py").write_text(SETTINGS)
    (sandbox.root / "migrations" / "env.py").write_text(ENV)
    return sandbox


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
@pytest.mark.parametrize("snapshot", ["auto", pytest.param("off", marks=pytest.mark.long)])
def test_the_developers_own_database_is_not_migrated(
    backend: Sandbox, developers: Developers, engine: str, snapshot: str
) -> None:
    done = backend.with_postgres("--engine", engine, "--snapshot", snapshot, "--", "true")
    assert 1 == done.returncode
    assert 1 == done.stderr.count("Error: ")
    assert f"Refusing to connect to 127.0.0.1:{developers.port}" in done.stderr
    assert "migrations/env.py, line 7" in done.stderr
    assert f"POSTGRES_PORT of {backend.root}/.env" in done.stderr
    assert "[tool.pgdst.environment]" in done.stderr
    assert "secret" not in done.stderr
    assert [] == developers.met


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
@pytest.mark.parametrize("snapshot", ["auto", pytest.param("off", marks=pytest.mark.long)])
def test_a_backend_whose_variables_are_named_is_served(
    backend: Sandbox, developers: Developers, engine: str, snapshot: str
) -> None:
    """In migrations and in the command; twice, as the second run starts from the snapshot."""
    Backend(backend.root).configure(MAPPED)
    count = "create_engine(URL).connect().scalar(text('SELECT count(*) FROM things'))"
    program = f"from settings import URL; from sqlalchemy import create_engine, text; print({count})"
    for _ in range(2):
        done = backend.with_postgres("--engine", engine, "--snapshot", snapshot, "--", PYTHON, "-c", program)
        assert (0, "0\n") == (done.returncode, done.stdout), done.stderr
    assert [] == developers.met


@pytest.mark.long
@pytest.mark.parametrize("engine", QUICKER_ENGINE)
def test_settings_that_the_tests_have_imported_do_not_reach_the_migrations(
    backend: Sandbox, developers: Developers, engine: str
) -> None:
    """A pytest that is called by hand starts its server after that, and migrates it where there is no snapshot."""
    Backend(backend.root).configure(MAPPED)
    (backend.root / "tests" / "test_it.py").write_text("import settings\n\ndef test_it(database):\n    pass\n")
    command = (PYTHON, "-m", "pytest", "-p", "pgdst.pytest.plugin", "--pgdst-engine", engine, "tests/test_it.py")
    path = f"{KIT / 'tools'}:{backend.root}"
    done = backend.run(*command, PYTHONPATH=path, PGDST_SNAPSHOT="off")
    assert 0 == done.returncode, done.stdout + done.stderr
    Backend(backend.root).configure('backend = "."')
    done = backend.run(*command, PYTHONPATH=path, PGDST_SNAPSHOT="off")
    assert 1 == done.returncode
    assert "[tool.pgdst.environment]" in done.stdout
    assert "During handling" not in done.stdout
    assert [] == developers.met


def test_a_test_that_connects_elsewhere_is_refused(backend: Sandbox, developers: Developers) -> None:
    """By an engine that was made at import; what is named may be connected to."""
    Backend(backend.root).configure(MAPPED)
    test = (
        "import os, psycopg, pytest, sqlalchemy\n"
        "from pgdst.errors import ForeignServerError\n"
        f"engine = sqlalchemy.create_engine('postgresql+psycopg://me:secret@localhost:{developers.port}/mine')\n"
        "def test_it(database):\n"
        "    expected = psycopg.OperationalError if os.environ.get('NAMED') else ForeignServerError\n"
        "    with pytest.raises((expected, sqlalchemy.exc.OperationalError)) as caught:\n"
        "        engine.connect()\n"
        "    assert isinstance(getattr(caught.value, 'orig', None) or caught.value, expected)\n"
        "    with sqlalchemy.create_engine(database).connect() as connection:\n"
        "        assert connection.scalar(sqlalchemy.text('SELECT 1')) == 1\n"
    )
    done = backend.test(test, "--engine", "embedded")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert [] == developers.met
    Backend(backend.root).configure(MAPPED.replace("\n\n", f'\nother_servers = ["127.0.0.1:{developers.port}"]\n\n', 1))
    done = backend.test(test, "--engine", "embedded", NAMED="1")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert [] != developers.met


@pytest.mark.long
def test_workers_with_servers_of_their_own_are_served(sandbox: Sandbox) -> None:
    """Each connects to its own, inside a run whose server is another."""
    test = (
        "import psycopg, pytest\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_it(database, number):\n"
        "    psycopg.connect(database.replace('+psycopg', '')).close()\n"
    )
    done = sandbox.test(test, arguments=("-q", "-n", "2", "--dist=each", "--pgdst-own-servers"))
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_a_wrong_configuration_is_one_error_of_pytest(sandbox: Sandbox) -> None:
    command = (PYTHON, "-m", "pytest", "-p", "pgdst.pytest.plugin", "tests")
    done = sandbox.run(*command, PYTHONPATH=str(KIT / "tools"), PGDST_RUN_ID="x")
    assert 4 == done.returncode
    assert "PGDST_DATABASE_URL and PGDST_RUN_ID go together" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


async def _engine(url: str) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


def _synchronous(url: str) -> None:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        engine.dispose()


async def _asyncpg(url: str) -> None:
    await (await asyncpg.connect(url)).close()


async def _psycopg_async(url: str) -> None:
    await (await psycopg.AsyncConnection.connect(url)).close()


WAYS: dict[str, Callable[[str], Any]] = {
    "SQLAlchemy with psycopg": lambda url: _synchronous(f"postgresql+psycopg://{url}"),
    "SQLAlchemy with psycopg, async": lambda url: asyncio.run(_engine(f"postgresql+psycopg://{url}")),
    "SQLAlchemy with psycopg2": lambda url: _synchronous(f"postgresql+psycopg2://{url}"),
    "SQLAlchemy with asyncpg": lambda url: asyncio.run(_engine(f"postgresql+asyncpg://{url}")),
    "psycopg": lambda url: psycopg.connect(f"postgresql://{url}").close(),
    "psycopg, async": lambda url: asyncio.run(_psycopg_async(f"postgresql://{url}")),
    "psycopg2": lambda url: psycopg2.connect(f"postgresql://{url}").close(),
    "asyncpg": lambda url: asyncio.run(_asyncpg(f"postgresql://{url}")),
}


@pytest.fixture
def docker_server(shop_server: Server) -> Iterator[Server]:
    """A server on TCP, which alone may be connected to."""
    with GUARD.allowing(shop_server, [], Path.cwd()):
        yield shop_server


def address(server: Server, port: int | None = None) -> str:
    return f"{server.user}:{server.password}@localhost:{port or server.port}/{server.database}"


@pytest.mark.parametrize("way", WAYS)
def test_every_driver_is_guarded(docker_server: Server, developers: Developers, way: str) -> None:
    WAYS[way](address(docker_server))
    with pytest.raises(ForeignServerError, match=f"Refusing to connect to .*:{developers.port} .*test_guard.py"):
        WAYS[way](address(docker_server, developers.port))
    assert [] == developers.met


@pytest.mark.parametrize("way", WAYS)
def test_a_name_of_several_addresses_is_one_server(
    docker_server: Server, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`localhost` is ::1 on many machines, which a driver tries before 127.0.0.1."""
    lookup = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        found = lookup(host, port, *arguments, **options)
        first = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", int(port or 0), 0, 0))
        return [first, *found] if host == "localhost" else found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    WAYS[way](address(docker_server))


@pytest.mark.usefixtures("docker_server")
@pytest.mark.parametrize("conninfo", ["host=127.0.0.1,/tmp/x hostaddr=127.0.0.1,", "dbname=x", "port=1"])
def test_what_libpq_would_try_by_itself_is_looked_at(conninfo: str) -> None:
    for connect in (psycopg.connect, psycopg2.connect):
        with pytest.raises(ForeignServerError):
            connect(conninfo)


@pytest.mark.usefixtures("docker_server")
@pytest.mark.parametrize("conninfo", ["host=a,a,a port=1,2", "host=a port=abc"])
def test_what_is_no_address_is_for_the_driver_to_say(conninfo: str) -> None:
    with pytest.raises(psycopg.Error):
        psycopg.connect(conninfo)
    with pytest.raises(psycopg2.Error):
        psycopg2.connect(conninfo)


@pytest.mark.usefixtures("docker_server")
@pytest.mark.parametrize("variables", [{"PGPORT": "1"}, {"PGHOST": "/nowhere"}, {"PGSERVICE": "production"}])
def test_what_libpq_takes_from_the_environment_is_looked_at(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ForeignServerError):
        psycopg.connect("dbname=x")
    with pytest.raises(ForeignServerError):
        psycopg2.connect("dbname=x")


def test_afterwards_any_server_may_be_connected_to(shop_server: Server) -> None:
    other = Server("another", "127.0.0.1", 1, "secret")

    def connect() -> None:
        psycopg.connect(f"postgresql://{address(shop_server)}").close()

    with GUARD.allowing(other, [], Path.cwd()):
        with pytest.raises(ForeignServerError):
            connect()
        shop_server.connect().close()  # the kit's own way
        with GUARD.allowing(shop_server, [], Path.cwd()):
            connect()
        with pytest.raises(ForeignServerError):
            connect()
    connect()
