"""Bugs that only schedules with yield points inside statements find."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.uniform import Uniform
from schedule_search import ScheduleSearch, schedule_search, sql
from sqlalchemy import Connection

pytestmark = pytest.mark.parametrize("race_server", ["docker"], indirect=True, scope="session")

SCHEMA = """
CREATE TABLE claims (world int NOT NULL);
CREATE TABLE unique_claims (world int UNIQUE);
CREATE TABLE migration_lock (is_locked bool NOT NULL);
CREATE TABLE single_migration_lock (is_locked bool NOT NULL, id int PRIMARY KEY DEFAULT 1 CHECK (id = 1));
CREATE TABLE migrations (name text NOT NULL);
"""
PREPARE = "TRUNCATE claims, unique_claims, migration_lock, single_migration_lock, migrations"
SEEDS = range(20)


@pytest.fixture(scope="module")
def between(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    """A search whose schedules stop between statements only."""
    with schedule_search(processes, SCHEMA, PREPARE, driver) as found:
        yield found


@pytest.fixture(scope="module")
def inside(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    """A search whose schedules stop inside statements too."""
    with schedule_search(processes, SCHEMA, PREPARE, driver, inside_statements=True) as found:
        yield found


def claim(connection: Connection, is_right: bool) -> None:
    """Claim a world that nobody has, in one statement."""
    if is_right:
        sql(connection, "INSERT INTO unique_claims VALUES (1) ON CONFLICT DO NOTHING")
    else:
        sql(connection, "INSERT INTO claims SELECT 1 WHERE NOT EXISTS (SELECT FROM claims)")


def migrate(connection: Connection, is_right: bool) -> None:
    """Create the lock's row if there is none, lock it, and migrate. Source: knex/knex, migrations' lock table."""
    lock = "single_migration_lock" if is_right else "migration_lock"
    on_conflict = "ON CONFLICT DO NOTHING" if is_right else ""
    sql(connection, f"INSERT INTO {lock} SELECT false WHERE NOT EXISTS (SELECT FROM {lock}) {on_conflict}")
    if sql(connection, f"UPDATE {lock} SET is_locked = true WHERE NOT is_locked").rowcount > 0:
        sql(connection, "INSERT INTO migrations VALUES ('0001')")


def act(made: ScheduleSearch, what: Callable[[Connection, bool], None], is_right: bool) -> None:
    """Run it in autocommit, so that no client can come between a statement and its commit."""
    with made.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        what(connection, is_right)


def is_doubled(made: ScheduleSearch, _result: Result) -> bool:
    """Return whether something was not done exactly once."""
    claims = "SELECT FROM claims UNION ALL SELECT FROM unique_claims"
    done: int = made.value(f"SELECT count(*) FROM ({claims} UNION ALL SELECT FROM migrations) AS done")
    return done != 1


@pytest.mark.parametrize("what", [claim, migrate])
def test_a_bug_within_a_statement_is_found_only_by_stops_inside(
    between: ScheduleSearch, inside: ScheduleSearch, what: Callable[[Connection, bool], None]
) -> None:
    """All schedules between statements miss it. With stops inside, seeds find the bug but not its fixed twin."""

    def clients(made: ScheduleSearch, is_right: bool) -> dict[str, Callable[[], None]]:
        return {name: partial(act, made, what, is_right) for name in ("ada", "bob")}

    assert between.search_all(clients(between, False), 3, partial(is_doubled, between)).first is None
    seeds = [Uniform(seed) for seed in SEEDS]
    wrong = inside.search(clients(inside, False), seeds, partial(is_doubled, inside))
    assert wrong.first is not None
    assert any(step.answer == "stops inside" for step in wrong.first.steps)
    assert inside.search(clients(inside, True), seeds, partial(is_doubled, inside)).first is None
