"""The URL of a server leads each driver to it, also after pydantic has read it."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psycopg
import psycopg2  # type: ignore[import-untyped]  # as asyncpg
import pytest
from conftest import leased_server
from pgdst.server import wheel
from pgdst.server.address import Server
from pgdst.server.embedded import EmbeddedEngine
from pydantic import PostgresDsn
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

QUERY = "SELECT current_setting('pgdst.run_id')"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with leased_server(EmbeddedEngine()) as found:
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


def test_asyncpg_alone_takes_the_variables_and_finds_nobody_by_the_url(server: Server) -> None:
    """It does not look into the URL's query where there is a host before it: at port 1 nobody answers."""
    with server.as_environment():
        assert server.run_id == by_asyncpg("postgresql://")
        with pytest.raises(OSError, match="Connect call failed"):
            by_asyncpg(os.environ["DATABASE_URL"].replace("+psycopg", ""))
