"""Waits of a transaction that reads only, and wants a snapshot that no serialization failure can spoil."""

from collections.abc import Iterator

import pytest
from lab import Lab, lab, sql
from pgdst.simulation.backends import Backends
from pgdst.simulation.strategy import Exhaustive

SCHEMA = "CREATE TABLE test (id int PRIMARY KEY, value int)"
PREPARE = "TRUNCATE test; INSERT INTO test VALUES (1, 10), (2, 20)"


@pytest.fixture(scope="module")
def made(backends: Backends) -> Iterator[Lab]:
    with lab(backends, SCHEMA, PREPARE) as found:
        yield found


def test_a_wait_for_a_safe_snapshot_is_a_wait_for_whoever_writes(made: Lab) -> None:
    """Also where bob's session has been a writer before, which Postgres remembers while others are open.

    It then says nothing of whom bob waits for: pg_safe_snapshot_blocking_pids looks at the session's first transaction.
    """

    def write(account: int) -> None:
        with made.engine.execution_options(isolation_level="SERIALIZABLE").begin() as connection:
            sql(connection, "SELECT sum(value) FROM test")
            sql(connection, "UPDATE test SET value = value + 1 WHERE id = :id", id=account)

    def write_and_read() -> int:
        write(2)
        options = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": True, "postgresql_deferrable": True}
        with made.engine.connect().execution_options(**options) as connection:
            return int(sql(connection, "SELECT sum(value) FROM test").scalar_one())

    search = Exhaustive(preemptions=2)
    results = [made.run({"ada": lambda: write(1), "bob": write_and_read}, strategy) for strategy in search]
    assert search.is_exhausted
    steps = [step for result in results for step in result.steps if step.client == "bob"]
    assert any("SELECT sum" in step.what and "waits for ada" in step.answer for step in steps)
