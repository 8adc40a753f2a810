"""Bugs that show only under faults: a search of seeds finds each, and its fixed twin passes the same search.

Faults and schedule are drawn from the seed: the tests do not say where a bug is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from pgdst.simulation.faults.kinds import ALL, Fault
from pgdst.simulation.faults.plan import DrawnFaults
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.uniform import Uniform
from schedule_search import GATE, ScheduleSearch, schedule_search, sql, sqlstate
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.parametrize("race_server", ["docker"], indirect=True, scope="session")

SCHEMA = """
CREATE TABLE jobs (id int PRIMARY KEY, state text NOT NULL DEFAULT 'new');
CREATE TABLE results (job int NOT NULL);
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE keys (key text PRIMARY KEY);
CREATE TABLE charges (name text NOT NULL);
"""
PREPARE = """
TRUNCATE jobs, results, accounts, keys, charges;
INSERT INTO jobs VALUES (1), (2), (3);
INSERT INTO accounts VALUES (1, 0);
"""
# Each bug has to be found by one of these seeds, and its twin must pass all of them.
SEEDS = range(40)
NAMES = ("ada", "bob")
LONGEST = 6  # the clients' steps are few
ROLLED_BACK = (Fault.SERIALIZATION, Fault.DEADLOCK)
NETWORK = (Fault.LOST, Fault.COMMIT_UNDONE, Fault.COMMIT_DONE)


@dataclass(frozen=True)
class Scenario:
    """The scenario of one run: its clients, and a check after they have ended and the faults are over."""

    clients: Mapping[str, Callable[[], Any]]
    is_wrong: Callable[[Result], bool]
    clean_up: Callable[[], None] = lambda: None


def alike(client: Callable[[str], Any]) -> dict[str, Callable[[], Any]]:
    """Return clients that all do the same, each under a name of its own."""
    return {name: partial(client, name) for name in NAMES}


def retried(work: Callable[[], None], *states: str) -> None:
    """Repeat the work until it succeeds: after any error, or after errors with one of the SQLSTATEs."""
    while True:
        try:
            return work()
        except DBAPIError as error:
            if states and sqlstate(error) not in states:
                raise


def jobs(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Take a job and do it in one transaction. The wrong twin uses two: a crash in between loses the job for ever."""

    def worker(_name: str) -> None:
        while (job := take()) is not None:
            if not is_right:
                with made.engine.begin() as connection:
                    finish(connection, job)

    def take() -> int | None:
        free = "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        with made.engine.begin() as connection:
            job: int | None = sql(connection, free).scalar()
            if job is not None and is_right:
                finish(connection, job)
            elif job is not None:
                sql(connection, "UPDATE jobs SET state = 'taken' WHERE id = :id", id=job)
        return job

    def finish(connection: Connection, job: int) -> None:
        sql(connection, "INSERT INTO results VALUES (:id)", id=job)
        sql(connection, "UPDATE jobs SET state = 'done' WHERE id = :id", id=job)

    def is_lost(_result: Result) -> bool:
        """Let a new worker do the remaining jobs without faults. Then each job must be done exactly once."""
        assert {} == made.run_on({"eve": partial(worker, "eve")}, Uniform(0)).errors
        done: list[int] | None = made.value("SELECT array_agg(job ORDER BY job) FROM results")
        return done != [1, 2, 3]

    return Scenario(alike(worker), is_lost)


@dataclass
class HandMadePool:
    """A pool that reuses every connection. The right one first checks whether the connection is alive."""

    engine: Engine
    looks: bool
    idle: list[psycopg.Connection] = field(default_factory=list)

    @contextmanager
    def lend(self) -> Iterator[psycopg.Connection]:
        """Lend a connection for a block."""
        connection = self._take()
        try:
            yield connection
        finally:
            self.idle.append(connection)

    def _take(self) -> psycopg.Connection:
        while self.idle:
            connection = self.idle.pop()
            if not self.looks or is_alive(connection):
                return connection
            connection.close()
        lent = self.engine.raw_connection()
        new = lent.driver_connection
        assert isinstance(new, psycopg.Connection)
        lent.detach()
        new.autocommit = True
        return new

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self.idle:
            connection.close()


def is_alive(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


def dead_connections(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Answer requests, each with a connection of the pool. After the faults every request must be answered."""
    pool = HandMadePool(made.engine, is_right)

    def requests(_name: str) -> None:
        for _ in range(2):
            with pool.lend() as connection:
                connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")

    def is_refused(_result: Result) -> bool:
        return bool(made.run_on(alike(requests), Uniform(0)).errors)

    return Scenario(alike(requests), is_refused, pool.close)


def charge(connection: Connection, name: str) -> None:
    sql(connection, "INSERT INTO charges VALUES (:name)", name=name)


def deposit(connection: Connection) -> None:
    balance = sql(connection, "SELECT balance FROM accounts WHERE id = 1 FOR UPDATE").scalar_one()
    sql(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=balance + 1)


def is_not_charged_once(made: ScheduleSearch, _result: Result) -> bool:
    charged: list[str] | None = made.value("SELECT array_agg(name ORDER BY name) FROM charges")
    return charged != [*NAMES]


def repeated_side_effect(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Charge and deposit, with a retry after a rollback: of the deposit alone, or of both."""

    def in_one_transaction(name: str) -> None:
        with made.engine.begin() as connection:
            charge(connection, name)
            deposit(connection)

    def in_two(name: str) -> None:
        with made.engine.begin() as connection:
            charge(connection, name)
        with made.engine.begin() as connection:
            deposit(connection)

    def client(name: str) -> None:
        retried(partial(in_one_transaction if is_right else in_two, name), "40001", "40P01")

    return Scenario(alike(client), partial(is_not_charged_once, made))


def not_retried(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Deposit, with a retry after errors for which Postgres recommends one. The caller must not see those."""

    def once() -> None:
        with made.engine.execution_options(isolation_level="SERIALIZABLE").begin() as connection:
            deposit(connection)

    def client(_name: str) -> None:
        if is_right:
            retried(once, "40001")
        else:
            once()

    def is_seen(result: Result) -> bool:
        assert len(NAMES) - len(result.errors) == made.value("SELECT balance FROM accounts WHERE id = 1")
        return bool(result.errors)

    return Scenario(alike(client), is_seen)


def early_acknowledgement(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Acknowledge a charge to the user: after the statement, or after the commit."""
    told: set[str] = set()

    def client(name: str) -> None:
        with made.engine.begin() as connection:
            charge(connection, name)
            if not is_right:
                told.add(name)
        told.add(name)

    def is_a_lie(_result: Result) -> bool:
        return bool(told - set(made.value("SELECT coalesce(array_agg(name), '{}') FROM charges")))

    return Scenario(alike(client), is_a_lie)


def no_idempotency_key(made: ScheduleSearch, is_right: bool) -> Scenario:
    """Charge, with a retry if there was no answer. Only the key tells whether the charge was made."""

    def once(name: str) -> None:
        with made.engine.begin() as connection:
            key = "INSERT INTO keys VALUES (:name) ON CONFLICT DO NOTHING"
            if not is_right or sql(connection, key, name=name).rowcount == 1:
                charge(connection, name)

    def client(name: str) -> None:
        retried(partial(once, name))

    return Scenario(alike(client), partial(is_not_charged_once, made))


Make = Callable[[ScheduleSearch, bool], Scenario]
BUGS: dict[str, tuple[Make, Sequence[Fault]]] = {
    "a job taken with SKIP LOCKED and lost in a crash": (jobs, (Fault.CRASH,)),
    "a job lost when its session ends or its connection breaks": (jobs, (Fault.TERMINATED, *NETWORK)),
    "a job lost in any storm": (jobs, ALL),
    "a retry around more than the transaction": (repeated_side_effect, ROLLED_BACK),
    "40001 not retried": (not_retried, (Fault.SERIALIZATION,)),
    "acknowledged before the commit": (early_acknowledgement, ALL),
    "no idempotency key on a retry": (no_idempotency_key, NETWORK),
}


@pytest.fixture(scope="module")
def made(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE, driver) as found:
        yield found


def faults_of(seed: int, kinds: Sequence[Fault]) -> DrawnFaults:
    """Return faults that the seed determines."""
    source = Random(seed)
    return DrawnFaults(lambda greatest: source.randint(0, greatest), kinds, longest=LONGEST)


def first_wrong(made: ScheduleSearch, make: Make, kinds: Sequence[Fault], is_right: bool) -> int | None:
    """Return the first seed whose run is wrong, or None. In that case most kinds of faults must have hit."""
    struck: Counter[Fault] = Counter()
    for seed in SEEDS:
        scenario = make(made, is_right)
        result = made.run(scenario.clients, Uniform(seed), faults_of(seed, kinds))
        struck.update(result.schedule.faults.values())
        for error in result.errors.values():
            assert isinstance(error, DBAPIError | psycopg.Error), error
        is_wrong = scenario.is_wrong(result)
        scenario.clean_up()
        if is_wrong:
            return seed
    assert len(struck) >= min(len(kinds), 5), struck
    return None


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[pytest.mark.long] if make is jobs else ()) for bug, (make, _) in BUGS.items()]
)
def test_a_bug_is_found_in_a_storm_and_its_fixed_twin_is_not_reported(made: ScheduleSearch, bug: str) -> None:
    require_found(made, *BUGS[bug])


@pytest.mark.parametrize("driver", [GATE], indirect=True)
def test_a_pool_that_hands_out_a_dead_connection_is_found_and_its_fixed_twin_is_not(made: ScheduleSearch) -> None:
    """The pool is written for psycopg."""
    require_found(made, dead_connections, ALL)


def require_found(made: ScheduleSearch, make: Make, kinds: Sequence[Fault]) -> None:
    assert first_wrong(made, make, kinds, is_right=False) is not None
    assert first_wrong(made, make, kinds, is_right=True) is None
