"""What explore's failure shows with each driver: what was read and written, where in the code, and what happened."""

import json
import time
from typing import Any

import pytest
from pgdst.simulation.clients import code
from pgdst.simulation.explore.explore import FoundError, explore
from pgdst.simulation.report.record import in_a_page, record
from pgdst.simulation.step import StepKind
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL);
INSERT INTO accounts VALUES (1, 'eve', 0);
"""
READ = text("SELECT owner, balance FROM accounts WHERE id = :id")
WRITE = text("UPDATE accounts SET balance = :new WHERE id = :id")


def deposit(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.execute(READ, {"id": 1}).one()
        connection.execute(WRITE, {"id": 1, "new": found.balance + 1})


async def deposit_async(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        found = (await connection.execute(READ, {"id": 1})).one()
        await connection.execute(WRITE, {"id": 1, "new": found.balance + 1})


def is_two(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT balance FROM accounts")) == 2)


def found_with(engine: Any, client: Any) -> FoundError:
    with pytest.raises(FoundError) as found:
        explore(engine, clients={"ada": client, "bob": client}, check=is_two)
    return found.value


@pytest.mark.parametrize("driver", ["psycopg", "psycopg async", "psycopg2", "asyncpg", "pg8000"])
def test_each_driver_shows_values_and_lines(url: str, driver: str) -> None:
    name, _, is_async = driver.partition(" ")
    is_coroutine = bool(is_async) or name == "asyncpg"
    engine = (create_async_engine if is_coroutine else create_engine)(url.replace("+psycopg", f"+{name}"))
    client = deposit_async if is_coroutine else deposit
    found = found_with(engine, client)
    told = str(found)
    assert "SELECT owner, balance FROM acc" in told
    assert "-> owner='eve' balance=0" in told
    assert (
        "ada read accounts at step 2 (owner='eve' balance=0), bob changed it and committed at step 6, and ada wrote it "
        "at step 7." in told
    )
    assert "SET balance = 1" in told or "SET balance = '1'" in told  # pg8000 sends text
    begins, reads, writes = client.__code__.co_firstlineno + 1, *(client.__code__.co_firstlineno + n for n in (2, 3))
    seen = [(step.what[:6], step.code) for step in found.result.steps if step.kind is StepKind.STATEMENT]
    assert [("SELECT", reads), ("SELECT", reads), ("UPDATE", writes), ("COMMIT", begins)] == [
        (what, place and place.line) for what, place in seen[:4]
    ]
    assert {__file__} == {place.file for _, place in seen if place is not None}


def test_the_lines_of_code_do_not_depend_on_who_is_asked(url: str) -> None:
    """A library's frames, and those of the kit, are not the user's: the place is in this file, also for a pool."""
    found = found_with(create_engine(url, pool_pre_ping=True), deposit)
    places = [step.code for step in found.result.steps if step.kind not in (StepKind.BEGINS, StepKind.ENDS)]
    assert {"deposit"} == {place and place.function for place in places}, found


def test_the_lines_are_known_also_where_their_files_are_new(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask for a file's path lets the client's thread run on, and a generator of the driver end."""

    def is_users(file: str) -> bool:
        time.sleep(0.001)
        return file == __file__

    def deposit_by_a_cursor(engine: Engine) -> None:
        with engine.begin() as connection, connection.connection.cursor("named") as cursor:  # type: ignore[attr-defined]  # psycopg's own
            cursor.execute("SELECT balance FROM accounts")
            [(found,)] = cursor.fetchall()
            connection.execute(WRITE, {"id": 1, "new": found + 1})

    monkeypatch.setattr(code, "_is_users", is_users)
    found = found_with(create_engine(url), deposit_by_a_cursor)
    places = [step.code for step in found.result.steps if step.kind is StepKind.STATEMENT]
    assert {"deposit_by_a_cursor"} == {place and place.function for place in places}, found


def test_a_record_is_plain_data_and_the_page_holds_it(url: str) -> None:
    """Also where a value would end the page's script."""
    result = found_with(create_engine(url), deposit).result
    told = record(result)
    assert told == json.loads(json.dumps(told)) | {"code": told["code"]}
    reading = next(step for step in told["steps"] if "rows" in step)
    assert {"columns": ["owner", "balance"], "values": [["'eve'", "0"]], "count": 1} == {
        name: reading["rows"][name] for name in ("columns", "values", "count")
    }
    assert [("ada", 1, 8, True), ("bob", 3, 5, True)] == [tuple(one.values()) for one in told["transactions"]]
    here = told["code"][__file__]
    assert "connection.execute(WRITE" in here[reading["code"]["line"] + 1]
    page = in_a_page(told | {"test": "</script><b>"})
    assert "</script><b>" not in page
    assert json.loads(page.split('id="record">')[1].split("</script>")[0])["test"] == "</script><b>"
