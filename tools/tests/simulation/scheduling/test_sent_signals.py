"""pg_terminate_backend and pg_cancel_backend, called by a client: they take effect at the end of that step."""

from collections.abc import Callable

import psycopg
import pytest
from pgdst.errors import InconclusiveError
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from races import Races
from sqlalchemy import Engine, text

LOCK = text("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
WAITING = "wait_event_type = 'Lock'"
IDLE = "state = 'idle in transaction'"


class Bench:
    """ada and bob lock one row, each in a transaction of two statements; cyd signals, by itself."""

    def __init__(self, races: Races) -> None:
        self.races, self.engine = races, races.engine()
        self.simulation: Simulation = races.simulation(self.engine)

    def lock(self) -> None:
        """Lock the row, and do something more."""
        with self.engine.begin() as connection:
            connection.execute(LOCK)
            connection.execute(text("SELECT 1"))

    def signals(self, statement: str) -> Callable[[], None]:
        """Return a client of one statement that commits by itself."""

        def client() -> None:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(statement))

        return client

    def run(self, statement: str, strategy: str) -> Result:
        """Run ada and bob, and cyd with this statement."""
        return self.races.run(
            self.simulation, [self.lock, self.lock, self.signals(statement)], Schedule.parse(strategy)
        )


@pytest.fixture
def bench(races: Races) -> Bench:
    return Bench(races)


def to(who: str, name: str = "pg_terminate_backend", more: str = "") -> str:
    """Return a statement that signals these sessions of the database, but not its own."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    return f"SELECT {name}(pid{more}) FROM pg_stat_activity WHERE {who} AND {others}"


def state_of(result: Result, client: str) -> str | None:
    error = result.errors[client]
    return getattr(getattr(error, "orig", None), "sqlstate", None)


@pytest.mark.parametrize(("name", "state"), [("pg_terminate_backend", "57P01"), ("pg_cancel_backend", "57014")])
def test_a_client_that_waits_may_go_on_though_the_lock_is_not_free(bench: Bench, name: str, state: str) -> None:
    result = bench.run(to(WAITING, name), "ada*2 bob*2 cyd*2 bob ada*2")
    assert state_of(result, "bob") == state
    assert "ada" not in result.errors


def test_the_schedule_may_let_it_go_on_when_the_lock_is_free(bench: Bench) -> None:
    """It has the signal all the same."""
    assert state_of(bench.run(to(WAITING), "ada*2 bob*2 cyd*2 ada*2 bob"), "bob") == "57P01"


def test_a_client_that_is_idle_has_ended_and_its_locks_are_free(bench: Bench) -> None:
    """bob, who locks the same row, need not wait."""
    result = bench.run(to(IDLE), "ada*2 cyd*2 bob*4 ada")
    assert state_of(result, "ada") == "57P01"
    assert "bob" not in result.errors
    assert not any(step.waits_for for step in result.steps)


def test_a_signal_that_hits_nobody_changes_nothing(bench: Bench) -> None:
    assert bench.run(to("false"), "ada*2 bob*2 cyd*2 ada*2 bob*3").errors == {}


@pytest.mark.parametrize("name", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_name_in_a_string_or_a_comment_is_no_call(bench: Bench, name: str) -> None:
    assert bench.run(f"SELECT '{name}(1)' -- {name}(1)", "ada*2 bob*2 cyd*2 ada*2 bob*3").errors == {}


def test_a_call_in_a_block_counts(bench: Bench) -> None:
    block = f"DO $$ BEGIN PERFORM {to(WAITING).removeprefix('SELECT ')}; END $$"
    assert state_of(bench.run(block, "ada*2 bob*2 cyd*2 bob ada*2"), "bob") == "57P01"


def test_a_time_out_while_somebody_waits_is_no_result(bench: Bench) -> None:
    """It would pass in real time: the session that waits is stopped."""
    with pytest.raises(InconclusiveError, match="with a time-out while bob waits for a lock"):
        bench.run(to(WAITING, more=", 100"), "ada*2 bob*2 cyd*2 bob ada*2")


def test_a_function_that_ends_sessions_is_no_result(bench: Bench) -> None:
    """Its text does not say so, and the session ends at a moment of its own."""
    define(bench.engine, f"CREATE OR REPLACE FUNCTION end_others() RETURNS bigint LANGUAGE sql AS $$ {counted()} $$")
    with pytest.raises(InconclusiveError, match=r"ended a session \(SQLSTATE 57P01\), by no statement that calls"):
        bench.run("SELECT end_others(), pg_sleep(0.3)", "ada*2 cyd*2 bob*4 ada")


def counted() -> str:
    return to(IDLE).replace("SELECT pg_terminate_backend(pid)", "SELECT count(pg_terminate_backend(pid))")


def define(engine: Engine, function: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(function))


def test_a_session_that_is_asked_keeps_what_it_is_to_be_told(races: Races) -> None:
    """Bob's notification arrives with the answer to ada's next statement, though ada's session was asked before."""
    simulation, heard = races.simulation(), []

    def ada() -> None:
        with psycopg.connect(simulation.url(), autocommit=True) as connection:
            connection.add_notify_handler(lambda notify: heard.append(notify.payload))
            connection.execute("LISTEN news")
            connection.execute("SELECT 1")

    def bob() -> None:
        with psycopg.connect(simulation.url(), autocommit=True) as connection:
            connection.execute("NOTIFY news, 'here'")
            connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE false")

    assert races.run(simulation, [ada, bob], Schedule.parse("ada*3 bob*5 ada*2")).errors == {}
    assert heard == ["here"]


def test_a_session_in_the_middle_of_a_pipeline_cannot_be_asked(races: Races) -> None:
    """A Sync of the kit's would end it."""
    simulation = races.simulation()

    def ada() -> None:
        with psycopg.connect(simulation.url(), autocommit=True) as connection, connection.pipeline():
            connection.execute("SELECT 1").fetchone()  # sends a Flush
            connection.execute("SELECT 2").fetchone()

    def bob() -> None:
        with psycopg.connect(simulation.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE false")

    with pytest.raises(InconclusiveError, match="another one is in the middle of a pipeline"):
        races.run(simulation, [ada, bob], Schedule.parse("ada*3 bob*4 ada*3"))


@pytest.mark.parametrize("who", [WAITING, IDLE, "state <> 'idle'"])
@pytest.mark.parametrize("name", ["pg_terminate_backend", "pg_cancel_backend"])
def test_the_same_schedule_gives_the_same_run(bench: Bench, name: str, who: str) -> None:
    """Whenever Postgres's processes react."""
    clients = [bench.lock, bench.lock, bench.signals(to(who, name))]
    for seed in range(8):
        first = bench.races.run(bench.simulation, clients, Uniform(seed))
        assert first.trace.lines == bench.races.run(bench.simulation, clients, Uniform(seed)).trace.lines
        assert first.trace.lines == bench.races.run(bench.simulation, clients, first.schedule).trace.lines
