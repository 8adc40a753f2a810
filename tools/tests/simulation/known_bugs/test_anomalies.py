"""The anomalies of the literature: a search of all schedules finds exactly those that Postgres allows.

Source: Adya, Weak Consistency, 1999; Bailis et al., Highly Available Transactions, 2013; the scenarios are those of
https://github.com/ept/hermitage (postgres.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from schedule_search import ScheduleSearch, schedule_search, sqlstates

SCHEMA = "CREATE TABLE test (id int PRIMARY KEY, value int)"
PREPARE = "DELETE FROM test; INSERT INTO test VALUES (1, 10), (2, 20)"

RC, RR, SERIALIZABLE = "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"
# Each statement is a transaction of its own, and ROLLBACK undoes nothing: this level prevents no anomaly.
NO_TRANSACTIONS = "no transactions"
LEVELS = (NO_TRANSACTIONS, RC, RR, SERIALIZABLE)
NO_SUCCESS = {"40001", "40P01"}


@dataclass(frozen=True)
class Seen:
    """The observations of a run: the reads of each committed transaction by statement, and the final table."""

    reads: Mapping[str, Sequence[Sequence[int]]]
    final: Mapping[int, int]

    def have_read(self, **expected: Sequence[Sequence[int]]) -> bool:
        """Return whether all these transactions were committed with exactly these reads."""
        return all(self.reads.get(name) == reads for name, reads in expected.items())


@dataclass(frozen=True)
class Anomaly:
    """Transactions (lists of statements), a check for anomalous runs, and the levels at which Postgres allows them."""

    name: str
    transactions: Mapping[str, Sequence[str]]
    is_in: Callable[[Seen], bool]
    allowed_at: Sequence[str]
    preemptions: int = 3


def row(number: int) -> str:
    return f"SELECT value FROM test WHERE id = {number}"


def put(number: int, value: int) -> str:
    return f"UPDATE test SET value = {value} WHERE id = {number}"


def vanishes(seen: Seen) -> bool:
    """Return whether t3 has read a transaction's write, and later a version older than that write."""
    first_last = (1, 2) if seen.final[1] == 12 else (2, 1)  # the last writer of row 1 is the later transaction
    positions = {10: 0, 20: 0, 11: first_last[0], 19: first_last[0], 12: first_last[1], 18: first_last[1]}
    found = [positions[value] for [value] in seen.reads.get("t3", ())]
    return found != sorted(found)


ANOMALIES = (
    Anomaly(
        "G0: write cycle",
        {"t1": [put(1, 11), put(2, 21)], "t2": [put(1, 12), put(2, 22)]},
        lambda seen: {"t1", "t2"} <= seen.reads.keys() and seen.final in ({1: 11, 2: 22}, {1: 12, 2: 21}),
        allowed_at=(),
    ),
    Anomaly(
        "G1a: aborted read",
        {"t1": [put(1, 101), "ROLLBACK"], "t2": [row(1), row(1)]},
        lambda seen: [101] in seen.reads.get("t2", ()),
        allowed_at=(),
    ),
    Anomaly(
        "G1b: intermediate read",
        {"t1": [put(1, 101), put(1, 11)], "t2": [row(1), row(1)]},
        lambda seen: "t1" in seen.reads and [101] in seen.reads.get("t2", ()),
        allowed_at=(),
    ),
    Anomaly(
        "G1c: circular information flow",
        {"t1": [put(1, 11), row(2)], "t2": [put(2, 22), row(1)]},
        lambda seen: seen.have_read(t1=[[22]], t2=[[11]]),
        allowed_at=(),
    ),
    Anomaly(
        "OTV: observed transaction vanishes",
        {"t1": [put(1, 11), put(2, 19)], "t2": [put(1, 12), put(2, 18)], "t3": [row(1), row(2)]},
        vanishes,
        allowed_at=(),
        preemptions=1,
    ),
    Anomaly(
        "PMP: predicate-many-preceders",
        {
            "t1": ["SELECT id FROM test WHERE value = 30", "SELECT id FROM test WHERE mod(value, 3) = 0"],
            "t2": ["INSERT INTO test VALUES (3, 30)"],
        },
        lambda seen: "t2" in seen.reads and seen.have_read(t1=[[], [3]]),
        allowed_at=(RC,),
    ),
    Anomaly(
        "PMP: with a write predicate",
        {
            "t1": ["UPDATE test SET value = value + 10"],
            "t2": ["DELETE FROM test WHERE value = 20", "SELECT id FROM test WHERE value = 20"],
        },
        lambda seen: "t1" in seen.reads and seen.have_read(t2=[[1]]),
        allowed_at=(RC,),
    ),
    Anomaly(
        "P4: lost update",
        {"t1": [row(1), put(1, 11)], "t2": [row(1), put(1, 11)]},
        lambda seen: seen.have_read(t1=[[10]], t2=[[10]]),
        allowed_at=(RC,),
    ),
    Anomaly(
        "G-single: read skew",
        {"t1": [row(1), row(2)], "t2": [row(1), row(2), put(1, 12), put(2, 18)]},
        lambda seen: "t2" in seen.reads and (seen.have_read(t1=[[10], [18]]) or seen.have_read(t1=[[12], [20]])),
        allowed_at=(RC,),
    ),
    Anomaly(
        "G-single: with predicates",
        {
            "t1": [
                "SELECT id FROM test WHERE mod(value, 5) = 0 ORDER BY id",
                "SELECT id FROM test WHERE mod(value, 3) = 0",
            ],
            "t2": ["UPDATE test SET value = 12 WHERE value = 10"],
        },
        lambda seen: "t2" in seen.reads and seen.have_read(t1=[[1, 2], [1]]),
        allowed_at=(RC,),
    ),
    Anomaly(
        "G-single: with a write predicate",
        {"t1": [row(1), "DELETE FROM test WHERE value = 20"], "t2": [put(1, 12), put(2, 18)]},
        lambda seen: "t2" in seen.reads and seen.have_read(t1=[[10]]) and 2 in seen.final,
        allowed_at=(RC,),
    ),
    Anomaly(
        "G2-item: write skew",
        {
            "t1": ["SELECT value FROM test WHERE id IN (1, 2) ORDER BY id", put(1, 11)],
            "t2": ["SELECT value FROM test WHERE id IN (1, 2) ORDER BY id", put(2, 21)],
        },
        lambda seen: seen.have_read(t1=[[10, 20]], t2=[[10, 20]]),
        allowed_at=(RC, RR),
    ),
    Anomaly(
        "G2: predicate write skew",
        {
            "t1": ["SELECT id FROM test WHERE mod(value, 3) = 0", "INSERT INTO test VALUES (3, 30)"],
            "t2": ["SELECT id FROM test WHERE mod(value, 3) = 0", "INSERT INTO test VALUES (4, 42)"],
        },
        lambda seen: seen.have_read(t1=[[]], t2=[[]]),
        allowed_at=(RC, RR),
    ),
    Anomaly(
        "G2: two anti-dependencies, one of a transaction that only reads",
        {
            "t1": ["SELECT value FROM test ORDER BY id", put(1, 0)],
            "t2": ["UPDATE test SET value = value + 5 WHERE id = 2"],
            "t3": ["SELECT value FROM test ORDER BY id"],
        },
        lambda seen: "t2" in seen.reads and seen.have_read(t1=[[10, 20]], t3=[[10, 25]]),
        allowed_at=(RC, RR),
        preemptions=1,
    ),
)


@pytest.fixture(scope="module")
def hermitage(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE, driver) as made:
        yield made


def transaction(made: ScheduleSearch, level: str, statements: Sequence[str]) -> list[list[int]] | None:
    """Run the statements as one transaction; return its reads, or None if it was not committed."""
    reads = []
    isolation = "AUTOCOMMIT" if level == NO_TRANSACTIONS else level
    with made.engine.connect().execution_options(isolation_level=isolation) as connection:
        for statement in statements:
            if statement == "ROLLBACK":
                connection.rollback()
                return None
            found = connection.exec_driver_sql(statement)
            if found.returns_rows:
                reads.append([value for (value,) in found])
        connection.commit()
    return reads


def seen(made: ScheduleSearch, result: Result) -> Seen:
    """Return the observations of a run. Raises: any error of a transaction that is not expected here."""
    assert sqlstates(result) <= NO_SUCCESS
    committed: dict[str, Any] = {name: one.value for name, one in result.outcomes.items() if one.value is not None}
    return Seen(committed, dict(made.observer.execute("SELECT id, value FROM test").fetchall()))


def at_each_level(anomaly: Anomaly) -> Iterator[Any]:
    """Yield the weakest level that forbids an anomaly and the one below it; the others are marked long."""
    first_to_forbid = next(level for level in LEVELS if level not in (NO_TRANSACTIONS, *anomaly.allowed_at))
    border = LEVELS.index(first_to_forbid)
    for number, level in enumerate(LEVELS):
        marks = [] if number in (border - 1, border) else [pytest.mark.long]
        yield pytest.param(anomaly, level, id=f"{anomaly.name.split(',')[0]}-{level}", marks=marks)


@pytest.mark.parametrize(("anomaly", "level"), [one for anomaly in ANOMALIES for one in at_each_level(anomaly)])
def test_an_anomaly_is_found_exactly_where_postgres_allows_it(
    hermitage: ScheduleSearch, anomaly: Anomaly, level: str
) -> None:
    """At other levels no schedule within the bound shows it. Without transactions all anomalies occur."""
    clients = {
        name: partial(transaction, hermitage, level, statements) for name, statements in anomaly.transactions.items()
    }
    found = hermitage.search_all(clients, anomaly.preemptions, lambda run: anomaly.is_in(seen(hermitage, run)))
    assert (level in (NO_TRANSACTIONS, *anomaly.allowed_at)) == (found.first is not None)
