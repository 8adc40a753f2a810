"""Connections that do not go through the gate: a client that uses one is refused at once, and told what to do."""

from collections.abc import Callable
from functools import partial

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pg8000.dbapi  # type: ignore[import-untyped]  # as asyncpg
import psycopg
import psycopg2  # type: ignore[import-untyped]  # it ships no types
import pytest
from deposits import SCHEMA as SCHEMA
from deposits import deposit, is_two
from pgdst.errors import InconclusiveError
from pgdst.server.address import Server
from pgdst.simulation.explore.explore import explore
from pgdst.simulation.strategies.uniform import Uniform
from races import Races
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

ONE = "SELECT 1"


def _libpq(url: str) -> str:
    return url.replace("+psycopg", "")


def _pg8000(server: Server, path: str) -> object:
    return pg8000.dbapi.connect(server.user, password=server.password, database=server.database, unix_sock=path)


def by_psycopg(url: str) -> None:
    psycopg.connect(_libpq(url)).execute(ONE)


def by_psycopg2(url: str) -> None:
    psycopg2.connect(_libpq(url)).cursor().execute(ONE)


async def by_asyncpg(url: str) -> None:
    await (await asyncpg.connect(_libpq(url).replace("localhost:1", ""))).execute(ONE)


def by_an_engine(url: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(ONE))


def by_pg8000(url: str) -> None:
    by_an_engine(url.replace("+psycopg", "+pg8000"))


async def by_an_asynchronous_engine(url: str) -> None:
    async with create_async_engine(url, poolclass=NullPool).begin() as connection:
        await connection.execute(text(ONE))


@pytest.mark.parametrize(
    "connect", [by_psycopg, by_psycopg2, by_asyncpg, by_an_engine, by_pg8000, by_an_asynchronous_engine]
)
def test_a_client_that_connects_past_the_gate_is_refused(
    engine: Engine, url: str, connect: Callable[[str], object]
) -> None:
    def bob(_engine: Engine) -> object:
        return connect(url)

    async def bob_async(_engine: Engine) -> object:
        return await connect(url)  # type: ignore[misc]  # one of the coroutine functions

    client = bob_async if connect.__name__ in {"by_asyncpg", "by_an_asynchronous_engine"} else bob
    with pytest.raises(InconclusiveError, match="bob has a connection that does not go through the gate"):
        explore(engine, clients={"ada": deposit, "bob": client}, check=is_two)


@pytest.mark.parametrize("other", ["psycopg", "psycopg2", "pg8000"])
def test_an_open_connection_of_another_engine_is_refused(races: Races, other: str) -> None:
    """It was made before the run."""
    server, attached = races.server, races.engine()
    if other == "pg8000":  # it can log in once the kit has made it accept a password that is hashed once
        attached = create_engine(server.url.replace("+psycopg", "+pg8000"), connect_args={"host": server.host})
    simulation = races.simulation(attached)
    engine = create_engine(server.url.replace("+psycopg", f"+{other}"))
    if other == "pg8000" and server.is_on_a_socket:
        path = f"{server.host}/.s.PGSQL.{server.port}"
        engine = create_engine("postgresql+pg8000://", creator=partial(_pg8000, server, path))
    races.opened.callback(engine.dispose)
    with engine.connect() as connection:
        connection.execute(text(ONE))
    with pytest.raises(InconclusiveError, match="ada has a connection that does not go through the gate"):
        races.run(simulation, [lambda: engine.connect()], Uniform(1))


def test_an_engine_on_the_gates_url_needs_no_attaching(races: Races) -> None:
    simulation = races.simulation()

    def client() -> object:
        with create_engine(simulation.url("psycopg"), poolclass=NullPool).begin() as connection:
            return connection.scalar(text(ONE))

    assert races.run(simulation, [client, client], Uniform(1)).value("ada") == 1


def test_between_runs_any_engine_may_be_used(races: Races) -> None:
    """To set a run up, and to look at what came of it."""
    other = races.engine()
    races.simulation(races.engine())
    with other.connect() as connection:
        assert connection.scalar(text(ONE)) == 1
