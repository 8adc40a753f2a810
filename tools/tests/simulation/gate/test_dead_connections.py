"""Dead connections: the steps of a run do not depend on when a driver notices that a session has ended."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.gate import stream
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.strategies.schedule import Schedule
from schedule_search import ScheduleSearch, schedule_search, sql
from sqlalchemy.exc import OperationalError

SCHEMA = "CREATE TABLE names (name text PRIMARY KEY)"
PREPARE = "TRUNCATE names"
LATE_SECONDS = 0.02


@pytest.fixture
def made(processes: ServerProcesses) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE) as found:
        yield found


def late(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a delay before it, in which all data can arrive."""

    def delayed(*arguments: Any, **options: Any) -> Any:
        time.sleep(LATE_SECONDS)
        return function(*arguments, **options)

    return delayed


def enters_two_names(made: ScheduleSearch) -> None:
    """Send two statements in a pipeline, and then commit."""
    with made.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            driver.cursor().executemany("INSERT INTO names VALUES (%s)", [("x",), ("y",)])
        except psycopg.OperationalError:
            driver.rollback()
        connection.connection.commit()


@pytest.mark.parametrize("fault", [Fault.TERMINATED, Fault.LOST, Fault.CRASH])
def test_a_pipeline_whose_session_has_ended_has_the_same_steps_however_late_its_client_is(
    made: ScheduleSearch, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run looks at the connection at once, the other after everything has arrived."""
    schedule = Schedule.parse(f"ada ada!{fault} ada")
    first = made.run({"ada": lambda: enters_two_names(made)}, schedule)
    monkeypatch.setattr(stream, "received", late(stream.received))
    monkeypatch.setattr(stream, "sent", late(stream.sent))
    again = made.run({"ada": lambda: enters_two_names(made)}, schedule)
    assert first.trace.lines == again.trace.lines
    assert first.errors.keys() == {"ada"} == again.errors.keys()


def test_who_is_terminated_in_a_wait_holds_no_lock_any_more_when_others_go_on(made: ScheduleSearch) -> None:
    """Postgres tells the client before it releases the locks."""

    def holder() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO names VALUES ('a')")

    def waiter() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO names VALUES ('b')")
            sql(connection, "INSERT INTO names VALUES ('a')")

    def third() -> None:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO names VALUES ('b')")

    # bob has b and waits for a, cyd for b. When ada has committed, bob is terminated: cyd can go on at once.
    schedule = Schedule.parse("ada*2 bob*3 cyd*2 ada bob!terminated cyd*2")
    for _ in range(20):
        result = made.run({"ada": holder, "bob": waiter, "cyd": third}, schedule)
        assert "cyd" not in result.errors
        assert result.errors.keys() == {"bob"}


def test_to_close_a_dead_connection_is_no_step(made: ScheduleSearch) -> None:
    """It holds no locks any more."""
    result = made.run({"ada": lambda: enters_two_names(made)}, Schedule.parse("ada ada!terminated ada"))
    assert "close" not in [step.what for step in result.steps]


def test_all_connections_are_free_again_when_none_was_left(made: ScheduleSearch) -> None:
    """The next client gets a connection, even if the others end slowly."""

    def connect_twice() -> None:
        made.engine.dispose()
        with pytest.raises(OperationalError, match="too many clients"):
            made.engine.connect()
        with made.engine.connect() as connection:
            sql(connection, "SELECT 1")

    result = made.run({"ada": connect_twice}, Schedule.parse("ada*2 ada!too-many"))
    assert {} == result.errors
    assert ["connect"] == [step.what for step in result.steps if step.answer == "done" and step.what == "connect"]


def fails_and_goes_back(made: ScheduleSearch) -> None:
    """Execute a statement that fails, and then roll back."""
    with made.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("INSERT INTO names VALUES ('x')")
        finally:
            driver.rollback()


def test_what_a_session_answered_before_its_end_is_no_answer_to_what_comes_later(made: ScheduleSearch) -> None:
    """Regression: a ROLLBACK on a dead connection got the error of the fault before it as its answer."""
    clients = {"ada": lambda: fails_and_goes_back(made), "bob": lambda: fails_and_goes_back(made)}
    result = made.run(clients, Schedule.parse("ada ada!deadlock bob bob!crash ada bob"))
    said = {step.what: step.answer for step in result.steps if step.client == "ada"}
    assert {"fault": "deadlock", "INSERT INTO names VALUES ('x')": "40P01", "ROLLBACK": "connection lost"}.items() <= (
        said.items()
    )
