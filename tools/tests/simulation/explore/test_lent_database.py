"""explore: the database that it is lent, which it leaves as it was, and what it refuses to explore."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from deposits import SCHEMA as SCHEMA
from deposits import TWO, deposit, deposit_async, deposit_rightly, failure_of, in_one, is_two
from pgdst.database.databases import Databases
from pgdst.errors import ConfigurationError, PgdstError
from pgdst.simulation.explore.explore import explore
from pgdst.simulation.faults.kinds import Fault
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


async def coroutine_function(connection: Connection) -> None:
    """What is neither a check nor a setup."""


async def inserted(engine: AsyncEngine) -> None:
    """Insert a row, and leave the connection in no loop that has ended."""
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO tags VALUES ('before')"))
    await engine.dispose()


def test_clients_that_send_nothing_are_an_error(engine: Engine) -> None:
    """Nothing would be explored."""
    with pytest.raises(ConfigurationError, match="No client sent anything through the engine"):
        explore(engine, clients={"ada": lambda _engine: None, "bob": lambda _engine: None}, check=is_two)


def test_a_database_that_the_kit_has_not_lent_is_refused(lent_databases: Databases) -> None:
    """It could not be rewound."""
    with pytest.raises(ConfigurationError, match="which the kit has not lent to this test"):
        explore(create_engine(lent_databases.server.url), clients=TWO, check=is_two)


@pytest.mark.parametrize(
    "statement", ["CREATE TEMPORARY TABLE scratch (id int)", "TRUNCATE others", "ALTER TABLE others ADD COLUMN n int"]
)
def test_a_run_that_changes_more_than_rows_is_undone_before_the_next(engine: Engine, statement: str) -> None:
    """Else the statement would fail, or find nothing to do, in the runs after it."""

    def client(engine: Engine) -> int:
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT count(*) FROM others"))
            connection.execute(text(statement))
        deposit(engine)
        return int(found)

    found = failure_of(engine, clients={"ada": client, "bob": deposit}, check=is_two)
    assert found.result.value("ada") == 1
    assert "10 of 10" in str(found)


def test_the_database_is_clean_for_the_next_test(lent_databases: Databases) -> None:
    """With no trigger left, though statements were stopped inside."""
    with lent_databases.lend() as url:
        failure_of(create_engine(url), clients=TWO, check=is_two)
    with lent_databases.lend() as url, create_engine(url, poolclass=NullPool).connect() as connection:
        assert 0 == connection.scalar(text("SELECT count(*) FROM pg_trigger"))
        assert 0 == connection.scalar(text("SELECT sum(balance) FROM accounts"))


def test_somebody_else_in_the_database_is_named_and_left_alone(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that explore does not know: nothing is rewound under it, and it is not ended."""
    monkeypatch.setattr("pgdst.database.rewind.reset.SESSIONS_END_SECONDS", 0.2)
    with create_engine(url, poolclass=NullPool).connect() as other:
        pid = other.scalar(text("SELECT pg_backend_pid()"))
        who = f"- pid {pid}, idle in transaction, last statement: SELECT pg_backend_pid"
        with pytest.raises(PgdstError, match=f"(?s)other sessions, and had these for 0.2 s:.*{who}"):
            explore(engine, clients=TWO, check=is_two)
        assert 1 == other.scalar(text("SELECT 1"))


def test_a_column_may_be_called_as_anything(engine: Engine) -> None:
    def client(engine: Engine) -> None:
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT n FROM odd"))
            connection.execute(text("UPDATE odd SET n = :new"), {"new": found + 1})

    assert '"n": 1' in failure_of(engine, clients={"ada": client, "bob": client}).wrong


def test_an_outcome_that_differs_each_time_is_an_error(engine: Engine) -> None:
    def client(engine: Engine) -> object:
        deposit_rightly(engine)
        return object()

    with pytest.raises(ConfigurationError, match="One serial order, run twice, has two outcomes"):
        explore(engine, clients={"ada": client, "bob": client})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clients": [deposit]}, "explore needs clients, a dictionary of names and functions"),
        ({"clients": {}}, "explore needs clients"),
        ({"check": coroutine_function}, "check must be a function of a connection, and no coroutine function"),
        ({"setup": "INSERT"}, "setup must be a function of a connection"),
        ({"schedules": 0}, "schedules must be a number from 1 on, found 0"),
        ({"faults": "each"}, "faults need a check"),
        ({"faults": "every"}, 'faults must be "each", or a function of a seed'),
        ({"expected_errors": "40P01"}, "expected_errors must be a list of words, found '40P01'"),
        ({"ignored_columns": ["nosuch.id"]}, "ignored_columns has nosuch.id, and no table is called so"),
    ],
)
def test_a_wrong_argument_is_named(engine: Engine, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        explore(engine, **{"clients": TWO, **options})


def test_a_client_that_explores_is_refused(engine: Engine) -> None:
    """Where it calls it, and at once."""
    errors = set()

    def client(engine: Engine) -> None:
        deposit_rightly(engine)
        with pytest.raises(ConfigurationError) as found:
            explore(engine, clients=TWO)
        errors.add(str(found.value))

    explore(engine, clients={"ada": client, "bob": deposit_rightly}, check=lambda _connection: True, schedules=6)
    assert {"explore was called by a client of a run. Call it in the test itself."} == errors


def test_nothing_of_the_kits_is_left_in_the_database_afterwards(engine: Engine) -> None:
    failure_of(engine, clients=TWO, check=is_two)
    with create_engine(engine.url, poolclass=NullPool).connect() as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgdst%'"
        assert 0 == connection.scalar(text(query))
        assert 0 == connection.scalar(text("SELECT count(*) FROM pg_trigger"))
        assert 0 == connection.scalar(text("SELECT sum(balance) FROM accounts"))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_all_runs_begin_with_the_database_as_it_was_lent(url: str, driver: str) -> None:
    """Also those after a crash; a row that was inserted before is in none of them, and the engine was in use."""
    found = set()

    def check(connection: Connection) -> bool:
        found.add(connection.scalar(text("SELECT count(*) FROM tags")))
        return True

    used = create_async_engine(url.replace("+psycopg", "+asyncpg")) if driver == "asyncpg" else create_engine(url)
    if isinstance(used, Engine):
        in_one(used, "INSERT INTO tags VALUES ('before')")
        client: Callable[[Any], Any] = deposit
    else:
        asyncio.run(inserted(used))
        client = deposit_async
    explore(used, clients={"ada": client}, check=check, faults="each", kinds=[Fault.CRASH], inside_statements=False)
    assert {0} == found


def test_setup_comes_before_each_run_on_the_database_as_it_was(engine: Engine) -> None:
    """Its rows are there once, however many runs there are."""

    def check(connection: Connection) -> None:
        assert 1 == connection.scalar(text("SELECT count(*) FROM tags"))

    def setup(connection: Connection) -> None:
        connection.execute(text("INSERT INTO tags VALUES ('new')"))

    assert explore(
        engine, setup=setup, clients={"ada": deposit_rightly, "bob": deposit_rightly}, check=check
    ).is_exhausted
