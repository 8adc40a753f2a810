"""The sentence about a run says nothing that did not happen."""

from collections.abc import Callable

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.report.explanation import explanation
from pgdst.simulation.strategies.schedule import Schedule
from schedule_search import schedule_search
from sqlalchemy import Engine

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, balance int);
INSERT INTO accounts VALUES (1, 0), (2, 0);
CREATE SCHEMA other;
CREATE TABLE other.accounts AS SELECT * FROM accounts;
CREATE TABLE orders (id int);
"""
READS = "SELECT balance FROM accounts WHERE id = 1"
WRITES = "UPDATE accounts SET balance = 1 WHERE id = 1"
READS_THEN_WRITES = (READS, WRITES, "COMMIT")
AFTER_ONE_STATEMENT = "ada*2 bob*3 ada*2"
# Of ada, of bob, the schedule, and what the sentence must have; it goes on as a preemption's where no rule fits.
RUNS = {
    "it was changed": (
        READS_THEN_WRITES,
        (WRITES, "COMMIT"),
        AFTER_ONE_STATEMENT,
        "ada read accounts at step 2 (balance=0), bob changed it and committed at step 5, and ada wrote it at step 6.",
    ),
    "it had been changed": (
        READS_THEN_WRITES,
        (WRITES, "COMMIT"),
        "bob*2 ada*2 bob ada*2",
        "bob had changed it and committed at step 5",
    ),
    "a comment in a line": (
        ("SELECT balance -- of ada\nFROM accounts", WRITES, "COMMIT"),
        (WRITES, "COMMIT"),
        AFTER_ONE_STATEMENT,
        "ada read accounts at step 2 (balance=0; balance=0), bob changed it",
    ),
    "rows of two statements": (
        (f"{READS}; SELECT id FROM accounts", WRITES, "COMMIT"),
        (WRITES, "COMMIT"),
        AFTER_ONE_STATEMENT,
        "ada read accounts at step 2, bob changed it",
    ),
    "an UPDATE of no row": (
        READS_THEN_WRITES,
        ("UPDATE accounts SET balance = 2 WHERE id = 7", "COMMIT"),
        AFTER_ONE_STATEMENT,
        "",
    ),
    "an INSERT of no row": (
        READS_THEN_WRITES,
        ("INSERT INTO accounts VALUES (1, 1) ON CONFLICT DO NOTHING", "COMMIT"),
        AFTER_ONE_STATEMENT,
        "",
    ),
    "a WITH that changes no row": (
        READS_THEN_WRITES,
        ("WITH x AS (UPDATE accounts SET balance = 2 WHERE false RETURNING 1) SELECT FROM x", "COMMIT"),
        AFTER_ONE_STATEMENT,
        "",
    ),
    "a savepoint": (
        READS_THEN_WRITES,
        ("SAVEPOINT one", WRITES, "ROLLBACK TO SAVEPOINT one", "INSERT INTO orders VALUES (1)", "COMMIT"),
        "ada*2 bob*6 ada*2",
        "",
    ),
    "a rollback": ((READS, WRITES, "ROLLBACK"), (WRITES, "COMMIT"), AFTER_ONE_STATEMENT, ""),
    "a table of another schema": (
        READS_THEN_WRITES,
        ("UPDATE other.accounts SET balance = 2", "COMMIT"),
        AFTER_ONE_STATEMENT,
        "",
    ),
    "a row that is read anew": (
        (f"{READS} FOR UPDATE", "COMMIT"),
        (WRITES, "COMMIT"),
        "bob*2 ada*2 bob ada*2",
        "bob had changed accounts and committed at step 5, and the statement went on at step 6.",
    ),
    "a table that is read after a wait": (
        (READS, "COMMIT"),
        ("LOCK accounts", WRITES, "COMMIT"),
        "bob*2 ada*2 bob*2 ada*2",
        "bob changed accounts and committed at step 6, and the statement went on at step 7.",
    ),
    "a lock before the snapshot": (
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "LOCK orders", READS, "COMMIT"),
        (WRITES, "COMMIT"),
        "ada*3 bob*3 ada*2",
        "",
    ),
}


def client(engine: Engine, statements: tuple[str, ...], level: str = "READ COMMITTED") -> Callable[[], None]:
    def execute() -> None:
        with engine.connect().execution_options(isolation_level=level) as connection:
            for one in statements:
                if one in ("COMMIT", "ROLLBACK"):
                    getattr(connection, one.lower())()
                else:
                    connection.exec_driver_sql(one)

    return execute


@pytest.mark.parametrize("name", RUNS)
def test_the_sentence_is_true(processes: ServerProcesses, name: str) -> None:
    ada, bob, schedule, happened = RUNS[name]
    level = "SERIALIZABLE" if ada[0].startswith("SET") else "READ COMMITTED"
    with schedule_search(processes, SCHEMA, "SELECT 1") as made:
        clients = {"ada": client(made.engine, ada, level), "bob": client(made.engine, bob)}
        result = made.run(clients, Schedule.parse(schedule))
    assert (happened or "bob went on at step") in explanation(result)


def test_a_wait_that_is_over_is_no_part_of_a_deadlock(processes: ServerProcesses) -> None:
    first, second = WRITES, WRITES.replace("id = 1", "id = 2")
    with schedule_search(processes, SCHEMA, "SELECT 1") as made:
        clients = {
            "cyd": client(made.engine, ("LOCK orders", "COMMIT")),
            "ada": client(made.engine, (first, second, "COMMIT")),
            "bob": client(made.engine, ("LOCK orders", "COMMIT", second, first, "COMMIT")),
        }
        result = made.run(clients, Schedule.parse("bob*2 cyd*2 bob cyd*2 ada*2 bob ada bob"))
    told = explanation(result)
    assert told.startswith("ada waited for bob (UPDATE")
    assert "while bob waited for ada (UPDATE" in told
    assert "cyd waited" not in told


def test_one_clients_transactions_on_two_connections_are_two(processes: ServerProcesses) -> None:
    """What one commits does not commit the other, which is rolled back."""
    with schedule_search(processes, SCHEMA, "SELECT 1") as made:

        def write_and_roll_back() -> None:
            with made.engine.connect() as one, made.engine.begin() as other:
                one.exec_driver_sql(WRITES)
                other.exec_driver_sql("INSERT INTO orders VALUES (1)")

        clients = {"ada": client(made.engine, READS_THEN_WRITES), "bob": write_and_roll_back}
        result = made.run(clients, Schedule.parse("ada*2 bob*6 ada*2"))
    assert explanation(result).startswith("bob went on")
