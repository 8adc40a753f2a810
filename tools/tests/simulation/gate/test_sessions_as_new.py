"""Each run begins with renewed sessions in the same order, whatever earlier runs have left in them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pgdst.errors import InconclusiveError
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from psycopg.rows import dict_row
from schedule_search import ScheduleSearch, schedule_search, sql
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

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
def made(processes: ServerProcesses) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE) as found:
        yield found


@pytest.mark.parametrize("statement", LEFT_IN_A_SESSION.values(), ids=LEFT_IN_A_SESSION)
def test_what_a_run_leaves_in_a_session_is_not_there_in_the_next(made: ScheduleSearch, statement: str) -> None:
    """Neither for the same client, nor for another one on the same connection."""

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


def test_the_last_number_of_a_sequence_is_not_that_of_the_run_before(made: ScheduleSearch) -> None:
    def insert() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")

    def last() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT lastval()").scalar()

    made.run({"ada": insert, "bob": insert}, Uniform(1))
    result = made.run({"ada": last, "bob": last}, Uniform(1))
    assert ["55000", "55000"] == [error.orig.sqlstate for error in result.errors.values()]  # type: ignore[attr-defined]  # psycopg's


def test_what_an_application_sets_on_each_new_connection_is_there_in_each_run(made: ScheduleSearch) -> None:
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


def test_who_waits_for_several_waits_in_the_same_order_in_each_run(made: ScheduleSearch) -> None:
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


def test_a_session_that_somebody_has_ended_meanwhile_is_replaced(made: ScheduleSearch) -> None:
    def look() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT 1").scalar()

    before = made.run({"ada": look, "bob": look}, Uniform(1))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    made.observer.execute(f"{others} pg_backend_pid()".encode())
    assert before.trace.lines == made.run({"ada": look, "bob": look}, Uniform(1)).trace.lines


def test_a_session_that_has_run_code_in_plpgsql_is_used_again(made: ScheduleSearch) -> None:
    """Triggers are in it, those of stops inside statements too. To open it anew takes longer than the rest of a run."""

    def run_code() -> object:
        with made.engine.begin() as connection:
            sql(connection, "DO 'BEGIN PERFORM 1; END'")
            return sql(connection, "SELECT pg_backend_pid()").scalar()

    results = [made.run({"ada": run_code, "bob": run_code}, Uniform(1)) for _ in range(3)]
    assert 1 == len({(result.value("ada"), result.value("bob")) for result in results})


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000", "psycopg async", "asyncpg"])
def test_a_session_whose_level_of_isolation_was_changed_is_used_again(processes: ServerProcesses, driver: str) -> None:
    """It begins with the server's default: the next transaction names none."""
    name, _, is_async = driver.partition(" ")
    url = processes.server.url.replace("+psycopg", f"+{name}")
    is_coroutine = bool(is_async) or name == "asyncpg"
    engine: Any = create_async_engine(url) if is_coroutine else create_engine(url)
    simulation = Simulation(processes)
    simulation.attach(engine)
    level = text("SELECT pg_backend_pid(), current_setting('transaction_isolation')")

    def look(name: str) -> Any:
        with engine.connect().execution_options(**({"isolation_level": name} if name else {})) as connection:
            return connection.execute(level).one()

    async def look_async(name: str) -> Any:
        async with engine.connect() as connection:
            if name:
                await connection.execution_options(isolation_level=name)
            return (await connection.execute(level)).one()

    found = []
    for asked in ("", "REPEATABLE READ", "SERIALIZABLE", ""):
        simulation.spawn("ada", look_async if is_coroutine else look, asked)
        result = simulation.run(Uniform(1))
        found.append((*result.value("ada"), [step.begins.upper().strip("; ") for step in result.steps if step.begins]))
    simulation.close()
    assert driver == "asyncpg" or 1 == len({pid for pid, _, _ in found})  # asyncpg's are new for each run
    assert ["read committed", "repeatable read", "serializable", "read committed"] == [level for _, level, _ in found]
    assert found[0][1:] == found[3][1:]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_an_engine_that_commits_by_itself_may_be_given_a_level(processes: ServerProcesses, driver: str) -> None:
    """psycopg2 sends a level at once then, also between runs."""
    engine = create_engine(processes.server.url.replace("+psycopg", f"+{driver}"), isolation_level="AUTOCOMMIT")
    simulation = Simulation(processes)
    simulation.attach(engine)

    def look(name: str) -> Any:
        with engine.connect().execution_options(isolation_level=name) as connection:
            return connection.scalar(text("SELECT current_setting('transaction_isolation')"))

    hashes = []
    for asked in ("AUTOCOMMIT", "SERIALIZABLE", "AUTOCOMMIT"):
        simulation.spawn("ada", look, asked)
        result = simulation.run(Uniform(1))
        assert asked.replace("AUTOCOMMIT", "READ COMMITTED").lower() == result.value("ada")
        hashes.append(result.trace.hexdigest())
    simulation.close()
    assert hashes[0] == hashes[2]


def test_the_rows_that_a_client_reads_are_in_the_trace(made: ScheduleSearch) -> None:
    """Runs that read different rows have different traces, even with equal statements and row counts."""

    def read() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT n FROM entries").scalar()

    hashes = set()
    for number in (1, 2):
        made.observer.execute(f"TRUNCATE entries; INSERT INTO entries (n) VALUES ({number})".encode())
        hashes.add(made.run_on({"ada": read}, Uniform(1)).trace.hexdigest())
    assert 2 == len(hashes)


def test_a_deadlock_says_for_whom_its_victim_has_waited(made: ScheduleSearch) -> None:
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


def test_all_who_wait_for_the_victim_of_a_deadlock_are_named(made: ScheduleSearch) -> None:
    """Which of them Postgres names depends on the slots of their processes in shared memory."""

    def insert_and_wait() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")
            sql(connection, "SELECT pg_advisory_xact_lock(7)")

    def lock() -> None:
        with made.engine.begin() as connection:
            sql(connection, "SELECT pg_advisory_xact_lock(7)")
            sql(connection, "LOCK TABLE entries")

    clients = {"ada": lock, "bob": insert_and_wait, "cyd": insert_and_wait}
    result = made.run(clients, Schedule.parse("ada*2 bob*3 cyd*3 ada"))
    [victim] = result.errors
    assert "ada" == victim
    assert ["waits for one of bob, cyd", "40P01"] == [step.answer for step in result.steps if "LOCK" in step.what]


def test_a_crash_loses_as_many_numbers_of_a_sequence_whenever_the_last_checkpoint_was(made: ScheduleSearch) -> None:
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


def test_connections_that_are_as_new_stay(made: ScheduleSearch) -> None:
    """Opening new ones for each run would take a third of its time."""
    seen = []

    def look() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")

    for _ in range(3):
        made.run({"ada": look, "bob": look}, Uniform(1))
        seen.append({idle.session.pid for idle in made.simulation._attached[0].idle()})
    assert [seen[0]] * 3 == seen


LEFT_IN_A_CONNECTION: dict[str, Callable[[Any], None]] = {
    "autocommit": lambda driver: setattr(driver, "autocommit", True),
    "how rows are made": lambda driver: setattr(driver, "row_factory", dict_row),
    "a handler": lambda driver: driver.add_notify_handler(print),
    "an isolation level": lambda driver: setattr(driver, "isolation_level", psycopg.IsolationLevel.SERIALIZABLE),
}


@pytest.mark.parametrize("leave", LEFT_IN_A_CONNECTION.values(), ids=LEFT_IN_A_CONNECTION)
def test_what_a_client_leaves_in_the_drivers_connection_is_not_there_in_the_next_run(
    made: ScheduleSearch, leave: Callable[[Any], None]
) -> None:
    def client() -> object:
        connection = made.engine.raw_connection()
        driver: Any = connection.driver_connection
        seen = (driver.autocommit, driver.row_factory, len(driver._notify_handlers), driver.isolation_level)
        leave(driver)
        connection.close()
        return seen

    first, again = (made.run({"ada": client}, Uniform(1)) for _ in range(2))
    assert first.value("ada") == again.value("ada")
    assert first.trace.lines == again.trace.lines


def test_what_a_listener_does_once_a_connection_is_done_in_each_run(made: ScheduleSearch) -> None:
    """The listener keeps a mark in the connection's own dictionary, which DISCARD ALL does not reset."""

    @event.listens_for(made.engine, "checkout")
    def configure(connection: Any, record: Any, _proxy: object) -> None:
        if not record.info.get("configured"):
            connection.execute("SET lock_timeout = 4321")
            connection.commit()
            record.info["configured"] = True

    def look() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SHOW lock_timeout").scalar()

    assert ["4321ms"] * 3 == [made.run({"ada": look}, Uniform(1)).value("ada") for _ in range(3)]


def test_a_connection_that_a_client_has_left_open_is_ended_before_the_next_run(made: ScheduleSearch) -> None:
    """Its transaction and locks end too, even if the client's objects still refer to it."""
    kept: list[Connection] = []

    def leak() -> None:
        connection = made.engine.connect()
        kept.append(connection)
        sql(connection, "SELECT pg_advisory_xact_lock(7)")

    def lock() -> object:
        with made.engine.connect() as connection:
            return sql(connection, "SELECT pg_try_advisory_xact_lock(7)").scalar()

    runs = [made.run({"ada": lock, "bob": leak}, Schedule.parse("ada*3 bob")) for _ in range(4)]
    assert [True] * 4 == [run.value("ada") for run in runs]
    assert 1 == len({run.trace.hexdigest() for run in runs})
    assert 4 == len(kept)
    kept[-1].close()  # the others are dead


def test_two_engines_on_one_database_stop_inside_statements(processes: ServerProcesses) -> None:
    with schedule_search(processes, SCHEMA, PREPARE, inside_statements=True) as found:
        other = create_engine(found.server.url)
        found.simulation.attach(other)

        def insert(engine: Engine) -> None:
            with engine.begin() as connection:
                sql(connection, "INSERT INTO entries (n) VALUES (1)")

        clients = {"ada": lambda: insert(found.engine), "bob": lambda: insert(other)}
        first, again = (found.run(clients, Uniform(3)) for _ in range(2))
        assert {} == first.errors
        assert any("stops inside" in line for line in first.trace.lines)
        assert first.trace.lines == again.trace.lines


def test_connections_are_not_replaced_because_real_time_has_passed(processes: ServerProcesses) -> None:
    with schedule_search(processes, SCHEMA, PREPARE) as found:
        engine = create_engine(found.server.url, pool_recycle=1)
        found.simulation.attach(engine)

        def look() -> None:
            with engine.connect() as connection:
                sql(connection, "SELECT 1")

        first = found.run({"ada": look}, Uniform(1))
        time.sleep(1.1)
        assert first.trace.lines == found.run({"ada": look}, Uniform(1)).trace.lines


def test_a_crash_waits_for_no_lock_of_the_client_that_it_strikes(made: ScheduleSearch) -> None:
    def restart() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO entries (n) VALUES (1)")
            sql(connection, "TRUNCATE entries RESTART IDENTITY")
            sql(connection, "SELECT 1")

    result = made.run({"ada": restart}, Schedule.parse("ada*3 ada!crash"))
    assert result.errors.keys() == {"ada"}


def test_what_the_kit_raises_in_a_client_ends_the_run_whatever_the_client_makes_of_it(
    made: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless() -> str:
        monkeypatch.setattr(ServerProcesses, "wait_until_gone", lambda *_arguments: False)
        try:
            with made.engine.begin() as connection:
                sql(connection, "SELECT 1")
        except Exception as error:
            return type(error).__name__
        return "done"

    with pytest.raises(InconclusiveError, match="whose connection was terminated, did not end within"):
        made.run({"ada": careless}, Schedule.parse("ada ada!terminated"))
