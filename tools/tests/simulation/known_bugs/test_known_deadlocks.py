"""Deadlocks: a search finds each, and none in the fixed twin."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.uniform import Uniform
from schedule_search import ScheduleSearch, schedule_search, sql, sqlstates
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

pytestmark = pytest.mark.parametrize("race_server", ["docker"], indirect=True, scope="session")

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE entries (account int NOT NULL REFERENCES accounts);
"""
PREPARE = "TRUNCATE accounts, entries; INSERT INTO accounts VALUES (1, 100), (2, 100), (3, 100)"
SEEDS = range(60)


@pytest.fixture(scope="module")
def made(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE, driver) as found:
        yield found


def transfer(made: ScheduleSearch, source: int, target: int, in_order: bool) -> None:
    """Move 1, and update the accounts in the order of the transfer or of their numbers."""
    changes = [(source, -1), (target, +1)]
    with made.engine.begin() as connection:
        for account, change in sorted(changes) if in_order else changes:
            sql(connection, "UPDATE accounts SET balance = balance + :by WHERE id = :id", by=change, id=account)


def enter(made: ScheduleSearch, lock: str) -> None:
    """Add an entry, whose foreign key locks the account, then lock the account to update its balance."""
    with made.engine.begin() as connection:
        sql(connection, "INSERT INTO entries VALUES (1)")
        sql(connection, f"SELECT FROM accounts WHERE id = 1 {lock}")
        sql(connection, "UPDATE accounts SET balance = balance + 1 WHERE id = 1")


def is_deadlocked(result: Result) -> bool:
    """Return whether there was a deadlock. Any other error, or a second victim, fails the test."""
    found = sqlstates(result)
    assert found <= {"40P01"}
    assert len(result.errors) == len(found)
    return bool(found)


def test_a_deadlock_by_the_order_of_locks_is_found(made: ScheduleSearch) -> None:
    for in_order in (False, True):
        clients = {"ada": partial(transfer, made, 1, 2, in_order), "bob": partial(transfer, made, 2, 1, in_order)}
        assert in_order == (made.search_all(clients, 3, is_deadlocked).first is None)


def test_a_deadlock_by_a_foreign_key_is_found(made: ScheduleSearch) -> None:
    """FOR UPDATE conflicts with the foreign key's lock, which both have; FOR NO KEY UPDATE does not."""
    for lock, is_right in (("FOR UPDATE", False), ("FOR NO KEY UPDATE", True)):
        clients = {name: partial(enter, made, lock) for name in ("ada", "bob")}
        assert is_right == (made.search_all(clients, 2, is_deadlocked).first is None)


def test_a_cycle_of_three_is_found(made: ScheduleSearch) -> None:
    """No two of the three clients share two accounts."""
    for in_order in (False, True):
        ways = dict(zip(("ada", "bob", "cyd"), pairwise((1, 2, 3, 1)), strict=True))
        clients = {name: partial(transfer, made, *way, in_order) for name, way in ways.items()}
        found = made.search(clients, map(Uniform, SEEDS), is_deadlocked)
        assert in_order == (found.first is None)


def test_a_pool_that_is_exhausted_by_nested_checkouts_is_found(made: ScheduleSearch) -> None:
    """Both clients hold one of the pool's two connections and want another, with no statement in between.

    Its time-out passes by the simulated clock.
    """
    engine = made.new_engine(pool_size=2, max_overflow=0)

    def nested() -> None:
        with engine.begin(), engine.begin() as inner:
            sql(inner, "SELECT")

    def one_after_the_other() -> None:
        with engine.begin() as connection:
            sql(connection, "SELECT")
        with engine.begin() as connection:
            sql(connection, "SELECT")

    def is_starved(result: Result) -> bool:
        return any(isinstance(error, PoolTimeoutError) for error in result.errors.values())

    ways: dict[Callable[[], None], bool] = {nested: False, one_after_the_other: True}
    for way, is_right in ways.items():
        found = made.search_all({"ada": way, "bob": way}, 2, is_starved)
        assert is_right == (found.first is None)


def test_a_wait_names_who_has_the_connection_now(made: ScheduleSearch) -> None:
    """The pool lends one connection to both clients in turn. A wait names the present one, not the one before."""

    def twice() -> None:
        for _ in range(2):
            transfer(made, 1, 2, True)

    def waits_for_itself(result: Result) -> bool:
        return any(step.answer == f"waits for {step.client}" for step in result.steps)

    assert made.search_all({"ada": twice, "bob": twice}, 2, waits_for_itself).first is None
