"""A session at the proxy: its state after a run, its owner, and its steps."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
from conftest import leased_server
from pgdst.errors import InconclusiveError
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

SCHEMA = b"CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO accounts VALUES (1, 0), (2, 0)"
ADD = "UPDATE accounts SET balance = balance + 1 WHERE id = 1"


@pytest.fixture(scope="module")
def processes() -> Iterator[ServerProcesses]:
    with leased_server(EmbeddedEngine(), SCHEMA) as server, server_processes_of(server) as found:
        yield found


@pytest.fixture
def simulation(processes: ServerProcesses) -> Iterator[Simulation]:
    with closing(Simulation(processes, stall_seconds=5)) as made:
        yield made


def engine_on(simulation: Simulation, processes: ServerProcesses, driver: str, **options: Any) -> Any:
    """Return an attached engine."""
    url = processes.server.url.replace("+psycopg", f"+{driver}", 1)
    made = create_async_engine(url, **options) if driver == "asyncpg" else create_engine(url, **options)
    simulation.attach(made)
    return made


def test_plans_depend_on_no_history(simulation: Simulation) -> None:
    with psycopg.connect(simulation.url()) as connection:
        assert ("force_custom_plan",) == connection.execute("SHOW plan_cache_mode").fetchone()


def test_a_closed_connection_is_a_step_before_which_others_may_come(simulation: Simulation) -> None:
    """Closing it ends its transaction and releases its locks."""
    url = simulation.url()

    def leave() -> None:
        connection = psycopg.connect(url)
        connection.execute(ADD)
        connection.close()

    def wait() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(ADD)

    for name, client in {"ada": leave, "bob": wait}.items():
        simulation.spawn(name, client)
    result = simulation.run(Schedule.parse("ada*3 bob*3 ada bob*3"))
    told = [str(step) for step in result.steps]
    waits, closes = f"6 bob: {ADD} -> waits for ada", "7 ada: close -> done"
    assert told.index(waits) < told.index(closes)
    assert f"8 bob: {ADD} -> goes on" in told


def test_what_a_client_leaves_open_is_gone_in_the_next_run(simulation: Simulation) -> None:
    """Else the next run would wait for a lock that nobody releases."""
    left, url = [], simulation.url()

    def leave() -> None:
        left.append(psycopg.connect(url))
        left[-1].execute(ADD)

    for seed in range(3):
        simulation.spawn("ada", leave)
        assert {} == simulation.run(Uniform(seed)).errors
    for connection in left:
        connection.close()


def test_a_driver_learns_which_settings_were_put_back_between_runs(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    engine = engine_on(simulation, processes, "psycopg", pool_size=1)
    seen = []

    def look() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            seen.append(connection.connection.driver_connection.info.parameter_status("TimeZone"))
            connection.execute(text("SET TimeZone = 'Asia/Tokyo'"))
            connection.commit()

    for seed in range(3):
        simulation.spawn("ada", look)
        assert {} == simulation.run(Uniform(seed)).errors
    assert [seen[0]] * 3 == seen != ["Asia/Tokyo"] * 3


def test_a_connection_that_two_clients_share_is_refused(simulation: Simulation, processes: ServerProcesses) -> None:
    """The pool tells the owner, though no transaction is open."""
    engine = engine_on(simulation, processes, "psycopg2", isolation_level="AUTOCOMMIT")
    shared: list[Any] = []

    def lend() -> None:
        with engine.connect() as connection, engine.connect() as other:
            shared.append(connection)
            connection.execute(text("SELECT 1"))
            other.execute(text("SELECT 2"))

    def take() -> None:
        shared[0].execute(text("SELECT 3"))

    simulation.spawn("ada", lend)
    simulation.spawn("bob", take)
    with pytest.raises(
        InconclusiveError, match=r"The client ada is at two places at once while bob has the turn: SELECT 3"
    ):
        simulation.run(Schedule.parse("ada*2 bob*2 ada*3"))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_connection_is_as_before_when_its_commit_was_made_to_fail(
    simulation: Simulation, processes: ServerProcesses, driver: str
) -> None:
    engine = engine_on(simulation, processes, driver)
    synchronous = getattr(engine, "sync_engine", engine)

    def add_twice() -> bool:
        with synchronous.connect() as connection:
            connection.execute(text(ADD))
            with pytest.raises(DBAPIError):
                connection.commit()
            connection.rollback()
            same = connection.connection.driver_connection
            connection.execute(text(ADD))
            connection.commit()
            return same is connection.connection.driver_connection

    simulation.spawn("ada", add_twice if synchronous is engine else lambda: greenlet_spawn(add_twice))
    result = simulation.run(Schedule.parse("ada*2 ada!serialization ada*3"))
    assert result.value("ada") is True


def lock(engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))


def read(engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT balance FROM accounts WHERE id = 1"))


def test_a_statement_that_waits_where_it_is_prepared_is_one_stop_all_the_same(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    """Asyncpg prepares a statement first, and that waits for the table's lock; psycopg sends all at once."""
    schedules = []
    for driver in ("psycopg", "asyncpg"):
        engine = engine_on(simulation, processes, driver)
        synchronous = getattr(engine, "sync_engine", engine)
        for name, function in {"ada": lock, "bob": read}.items():
            simulation.spawn(name, *([function] if synchronous is engine else [greenlet_spawn, function]), synchronous)
        result = simulation.run(Schedule.parse("ada*2 bob*2 ada bob*2"))
        assert any(step.answer == "waits for ada" for step in result.steps)
        schedules.append(str(result.schedule))
    assert schedules[0] == schedules[1]


async def saves(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with connection.transaction(), connection.transaction():
        await connection.execute(ADD)
    await connection.close()


def streams(engine: Any) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        connection.execute(text("SELECT generate_series(1, 3)")).all()


def test_names_that_a_driver_counts_up_are_the_runs_own(simulation: Simulation, processes: ServerProcesses) -> None:
    """Names of asyncpg's savepoints and psycopg2's cursors are numbered in the order of the run."""
    engine = engine_on(simulation, processes, "psycopg2")
    hashes = []
    for _ in range(3):
        simulation.spawn("ada", saves, simulation.url())
        simulation.spawn("bob", streams, engine)
        result = simulation.run(Uniform(1))
        assert {} == result.errors
        assert {"name0", "name1"} == {word for step in result.steps for word in re.findall(r"name\d", step.what)}
        hashes.append(result.trace.hexdigest())
    assert 1 == len(set(hashes))
