"""Statements that psycopg sends without waiting for each answer: pipelines, COPY and streams of rows."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pgdst.errors import ConfigurationError
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.report.statements import answer_of
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from schedule_search import ScheduleSearch, schedule_search

SCHEMA = "CREATE TABLE names (name text PRIMARY KEY)"
PREPARE = "TRUNCATE names"

Work = Callable[[psycopg.Connection], None]


@pytest.fixture(scope="module")
def made(processes: ServerProcesses) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE) as found:
        yield found


def executemany(connection: psycopg.Connection) -> None:
    connection.cursor().executemany("INSERT INTO names VALUES (%s)", [("x",), ("y",)])


def pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("INSERT INTO names VALUES ('x')")
        connection.execute("INSERT INTO names VALUES ('y')")


def copy(connection: psycopg.Connection) -> None:
    with connection.cursor().copy("COPY names FROM STDIN") as rows:
        for name in "xy":
            rows.write_row([name])


def stream(connection: psycopg.Connection) -> None:
    rows = connection.cursor().stream("INSERT INTO names SELECT unnest('{x,y}'::text[]) RETURNING name")
    assert [("x",), ("y",)] == list(rows)


@pytest.mark.parametrize("work", [executemany, pipeline, copy, stream])
def test_nobody_comes_between_what_is_in_flight_and_its_end(made: ScheduleSearch, work: Work) -> None:
    """Each schedule gives the same run twice. Statements that are in flight together are one step of the schedule.

    Ada and bob insert the same rows: the second one waits, and fails if the first commits.
    """

    def client() -> None:
        with made.engine.connect() as connection:
            work(connection.connection.driver_connection)  # type: ignore[arg-type]  # the gated connection
            connection.connection.commit()

    search = Exhaustive(preemptions=2)
    results: list[Result] = []
    for strategy in search:
        result = made.run({"ada": client, "bob": client}, strategy)
        again = made.run({"ada": client, "bob": client}, result.schedule)
        assert result.trace.first_difference(again.trace) is None
        assert {"23505"} == {getattr(error, "sqlstate", None) for error in result.errors.values()}
        results.append(result)
    assert search.is_exhausted
    assert str(results[0].schedule).startswith("ada*3 ")  # she begins, does the work, commits
    assert any("waits for" in step.answer for result in results for step in result.steps)


def test_a_pipeline_that_no_buffer_holds_is_one_step_each_time(made: ScheduleSearch) -> None:
    """The driver reads some answers before it has sent everything; how many depends on the server's speed."""
    rows = [(f"{number:06} {'x' * 1000}",) for number in range(3000)]

    def client() -> None:
        with made.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.cursor().executemany("INSERT INTO names VALUES (%s) ON CONFLICT DO NOTHING", rows)
            connection.connection.commit()

    runs = [made.run({"ada": client, "bob": client}, Schedule.parse("ada*2 bob*2 ada bob*2")) for _ in range(3)]
    assert {} == runs[0].errors
    assert 1 == len({run.trace.hexdigest() for run in runs})
    assert any(step.answer == "waits for ada" for step in runs[0].steps)


def test_a_report_says_how_many_statements_were_sent_together(made: ScheduleSearch) -> None:
    """And takes the answer of the last one for no other's; a specification is refused, however long the first is."""
    long = f"SELECT 'new' AS name, '{'x' * 500}'"

    def client() -> None:
        with made.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with driver.pipeline():
                for one in (long, "SELECT 1 AS number", "UPDATE names SET name = 'z' WHERE false"):
                    driver.execute(one)

    result = made.run({"ada": client}, Uniform(1))
    sent = result.steps[1]
    assert (f"{long} and 2 more", "UPDATE 0, 2 rows") == (sent.text, answer_of(sent))
    with pytest.raises(ConfigurationError, match="several statements that were sent together"):
        result.as_isolation_spec()
