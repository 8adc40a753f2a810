"""Waits of SERIALIZABLE READ ONLY DEFERRABLE transactions for a safe snapshot."""

from collections.abc import Iterator

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.strategies.bounded import Exhaustive
from schedule_search import ScheduleSearch, schedule_search, sql

SCHEMA = "CREATE TABLE test (id int PRIMARY KEY, value int)"
PREPARE = "TRUNCATE test; INSERT INTO test VALUES (1, 10), (2, 20)"


@pytest.fixture(scope="module")
def made(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE, driver) as found:
        yield found


def test_a_wait_for_a_safe_snapshot_is_a_wait_for_whoever_writes(made: ScheduleSearch) -> None:
    """The reader needs a session of its own: for one that has written before, Postgres may not name the blocker."""
    reading = made.new_engine()

    def write() -> None:
        with made.engine.execution_options(isolation_level="SERIALIZABLE").begin() as connection:
            sql(connection, "SELECT sum(value) FROM test")
            sql(connection, "UPDATE test SET value = value + 1 WHERE id = 1")

    def read() -> int:
        options = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": True, "postgresql_deferrable": True}
        with reading.connect().execution_options(**options) as connection:
            return int(sql(connection, "SELECT sum(value) FROM test").scalar_one())

    search = Exhaustive(preemptions=2)
    results = [made.run({"ada": write, "bob": read}, strategy) for strategy in search]
    assert search.is_exhausted
    steps = [step for result in results for step in result.steps if step.client == "bob"]
    assert any(step.answer == "waits for ada" for step in steps)
