"""Each run begins with sessions as new ones, in the same order, whatever the runs before have left in them."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from lab import Lab, lab, sql
from pgdst.simulation.backends import Backends
from pgdst.simulation.strategy import Schedule, Uniform
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

SCHEMA = "CREATE TABLE entries (id int GENERATED ALWAYS AS IDENTITY, n int); CREATE SCHEMA other"
PREPARE = "TRUNCATE entries RESTART IDENTITY; DROP INDEX IF EXISTS by_n"
LEFT_IN_A_SESSION = {
    "a temporary table": "CREATE TEMP TABLE scratch (n int)",
    "an advisory lock": "SELECT pg_advisory_lock(7)",
    "a setting": "SET search_path = other",
    "a setting of one's own": "SELECT set_config('my.own', 'left', false)",
    "a prepared statement": "PREPARE one AS SELECT 1",
    "a listener": "LISTEN channel",
    "a cursor": "DECLARE open CURSOR WITH HOLD FOR SELECT 1",
    "a number": "INSERT INTO entries (n) VALUES (1)",
}
SEEN_IN_A_SESSION = """
    SELECT pg_my_temp_schema() <> 0, current_setting('search_path'), current_setting('my.own', true),
        (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database())),
        (SELECT count(*) FROM pg_listening_channels())
"""


@pytest.fixture
def made(backends: Backends) -> Iterator[Lab]:
    with lab(backends, SCHEMA, PREPARE) as found:
        yield found


@pytest.mark.parametrize("statement", LEFT_IN_A_SESSION.values(), ids=LEFT_IN_A_SESSION)
def test_what_a_run_leaves_in_a_session_is_not_there_in_the_next(made: Lab, statement: str) -> None:
    """Not for the same client, and not for another one on the same connection."""

    def leave() -> None:
        with made.engine.begin() as connection:
            sql(connection, statement)

    def look() -> object:
        with made.engine.connect() as connection:
            return tuple(sql(connection, SEEN_IN_A_SESSION).one())

    before = made.run({"ada": look, "bob": look}, Uniform(1))
    for _ in range(2):
        left = made.run({"ada": leave, "bob": look}, Schedule.parse("ada*3 bob"))
        assert "ada" not in left.errors
    after = made.run({"ada": look, "bob": look}, Uniform(1))
    assert before.trace.lines == after.trace.lines
    assert before.value("ada") == after.value("ada")


def test_the_last_number_of_a_sequence_is_not_that_of_the_run_before(made: Lab) -> None:
    def insert() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")

    def last() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT lastval()").scalar()

    made.run({"ada": insert, "bob": insert}, Uniform(1))
    result = made.run({"ada": last, "bob": last}, Uniform(1))
    assert ["55000", "55000"] == [error.orig.sqlstate for error in result.errors.values()]  # type: ignore[attr-defined]


def test_what_an_application_sets_on_each_new_connection_is_there_in_each_run(made: Lab) -> None:
    @event.listens_for(made.engine, "connect")
    def configure(connection: psycopg.Connection, _record: object) -> None:
        connection.execute("SET search_path = other, public")
        connection.commit()

    def look() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SHOW search_path").scalar()

    def leave() -> None:
        with made.engine.begin() as connection:
            sql(connection, "SET search_path = public")

    made.engine.dispose()
    for _ in range(3):
        result = made.run({"ada": look, "bob": look}, Uniform(1))
        assert {"other, public"} == {result.value("ada"), result.value("bob")}
        made.run({"ada": leave, "bob": leave}, Uniform(1))


def test_who_waits_for_several_waits_in_the_same_order_in_each_run(made: Lab) -> None:
    """CREATE INDEX CONCURRENTLY waits for one transaction after another, in the order of Postgres's processes."""

    def insert() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")

    def index() -> None:
        with made.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE INDEX CONCURRENTLY by_n ON entries (n)"))

    clients: dict[str, Callable[[], None]] = {"ada": insert, "bob": insert, "cyd": index}
    schedule = Schedule.parse("ada*2 bob*2 cyd*2")
    first, *others = [made.run(clients, schedule).trace.lines for _ in range(6)]
    assert any("CONCURRENTLY" in line and "waits for " in line for line in first)
    for lines in others:
        assert first == lines


def test_a_session_that_somebody_has_ended_meanwhile_is_replaced(made: Lab) -> None:
    def look() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT 1").scalar()

    before = made.run({"ada": look, "bob": look}, Uniform(1))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    made.observer.execute(f"{others} pg_backend_pid()".encode())
    assert before.trace.lines == made.run({"ada": look, "bob": look}, Uniform(1)).trace.lines


def test_the_rows_that_a_client_reads_are_in_the_trace(made: Lab) -> None:
    """Two runs whose rows differ are two runs, though every statement and its count of rows are the same."""

    def read() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT n FROM entries").scalar()

    hashes = set()
    for number in (1, 2):
        made.observer.execute(f"TRUNCATE entries; INSERT INTO entries (n) VALUES ({number})".encode())
        hashes.add(made.run_on({"ada": read}, Uniform(1)).trace.hexdigest())
    assert 2 == len(hashes)


def test_a_deadlock_says_for_whom_its_victim_has_waited(made: Lab) -> None:
    def locks(first: int, second: int) -> Callable[[], None]:
        def client() -> None:
            with made.engine.begin() as connection:
                for number in (first, second):
                    sql(connection, "SELECT pg_advisory_xact_lock(:number)", number=number)

        return client

    result = made.run({"ada": locks(1, 2), "bob": locks(2, 1)}, Schedule.parse("ada*2 bob*2 ada bob"))
    [error] = result.errors.values()
    assert isinstance(error, DBAPIError)
    victim = [step.answer for step in result.steps if step.client == "bob" and "lock" in step.what]
    assert ["waits for ada", "40P01"] == victim[-2:]


def test_a_crash_loses_as_many_numbers_of_a_sequence_whenever_the_last_checkpoint_was(made: Lab) -> None:
    def insert() -> None:
        for _ in range(3):
            with made.engine.begin() as connection:
                sql(connection, "INSERT INTO entries (n) VALUES (1)")

    found = []
    for checkpoint in (False, True):
        made.observer.execute(PREPARE)
        made.observer.execute("INSERT INTO entries (n) VALUES (1)")
        if checkpoint:
            made.observer.execute("CHECKPOINT")
        made.run_on({"ada": insert}, Schedule.parse("ada*5 ada!crash"))
        found.append(made.value("INSERT INTO entries (n) VALUES (1) RETURNING id"))
    assert [found[0]] * 2 == found
