"""Common concurrency bugs: a search finds each, and its fixed twin passes the same search."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, LiteralString

import pytest
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from schedule_search import ScheduleSearch, schedule_search, sql, sqlstate
from sqlalchemy.exc import DBAPIError, IntegrityError

pytestmark = pytest.mark.parametrize("race_server", ["docker"], indirect=True, scope="session")

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE jobs (id int PRIMARY KEY, owner text);
CREATE TABLE pages (id int PRIMARY KEY, version int NOT NULL);
CREATE TABLE tags (name text);
CREATE TABLE unique_tags (name text UNIQUE);
CREATE TABLE invoices (number int);
CREATE TABLE numbers (next int NOT NULL);
CREATE TABLE doctors (name text PRIMARY KEY, on_call bool NOT NULL);
CREATE TABLE bookings (during int4range);
CREATE TABLE exclusive_bookings (during int4range, EXCLUDE USING gist (during WITH &&));
CREATE TABLE worlds (id int PRIMARY KEY);
CREATE TABLE claims (world int REFERENCES worlds);
CREATE TABLE scores (name text PRIMARY KEY, points int NOT NULL);
CREATE TABLE keys (key text PRIMARY KEY);
CREATE TABLE charges (key text);
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE leases (token int NOT NULL, ends timestamptz NOT NULL, written_by int);
"""
PREPARE = """
TRUNCATE accounts, jobs, pages, tags, unique_tags, invoices, numbers, doctors, bookings, exclusive_bookings, worlds,
    claims, scores, keys, charges, events, leases RESTART IDENTITY;
INSERT INTO accounts VALUES (1, 50), (2, 50);
INSERT INTO jobs VALUES (1), (2);
INSERT INTO pages VALUES (1, 1);
INSERT INTO numbers VALUES (1);
INSERT INTO doctors VALUES ('ada', true), ('bob', true);
INSERT INTO worlds VALUES (1);
INSERT INTO leases VALUES (0, '2000-01-01', NULL);
"""


@dataclass(frozen=True)
class Bug:
    """A client's function, given its name and whether it is the fixed twin; and a check for wrong runs."""

    client: Callable[[ScheduleSearch, str, bool], Any]
    is_wrong: Callable[[ScheduleSearch, Result], bool]
    preemptions: int = 2
    clients: tuple[str, ...] = ("ada", "bob")


def deposit(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Read the balance, and write it back plus one."""
    with made.engine.begin() as connection:
        balance = sql(connection, f"SELECT balance FROM accounts WHERE id = 1 {'FOR UPDATE' * is_right}").scalar_one()
        sql(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=balance + 1)


def claim_a_job(made: ScheduleSearch, name: str, is_right: bool) -> int:
    """Take the first free job."""
    with made.engine.begin() as connection:
        locking = "FOR UPDATE SKIP LOCKED" * is_right
        free = sql(connection, f"SELECT id FROM jobs WHERE owner IS NULL ORDER BY id LIMIT 1 {locking}").scalar_one()
        sql(connection, "UPDATE jobs SET owner = :name WHERE id = :id", name=name, id=free)
        return int(free)


def save_a_page(made: ScheduleSearch, _name: str, is_right: bool) -> bool:
    """Save a page, and return whether it was saved. The wrong twin ignores the row count and returns True."""
    with made.engine.begin() as connection:
        version = sql(connection, "SELECT version FROM pages").scalar_one()
        saved = sql(connection, "UPDATE pages SET version = version + 1 WHERE version = :version", version=version)
        return saved.rowcount == 1 or not is_right


def get_or_create_a_tag(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    with made.engine.begin() as connection:
        if is_right:
            sql(connection, "INSERT INTO unique_tags VALUES ('red') ON CONFLICT DO NOTHING")
        elif sql(connection, "SELECT FROM tags WHERE name = 'red'").rowcount == 0:
            sql(connection, "INSERT INTO tags VALUES ('red')")


def number_an_invoice(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Take the next number: the greatest plus one, or from a row that is locked."""
    with made.engine.begin() as connection:
        taken = "UPDATE numbers SET next = next + 1 RETURNING next" if is_right else "SELECT max(number) FROM invoices"
        number = sql(connection, taken).scalar_one() or 0
        sql(connection, "INSERT INTO invoices VALUES (:number)", number=number + 1)


def report_or_transfer(made: ScheduleSearch, name: str, is_right: bool) -> int | None:
    """Ada adds up the accounts, while bob moves money between them."""
    level = "REPEATABLE READ" if is_right else "READ COMMITTED"
    with made.engine.execution_options(isolation_level=level).begin() as connection:
        if name == "ada":
            one, two = (sql(connection, f"SELECT balance FROM accounts WHERE id = {n}").scalar_one() for n in (1, 2))
            return int(one + two)
        sql(connection, "UPDATE accounts SET balance = balance - 10 WHERE id = 1")
        sql(connection, "UPDATE accounts SET balance = balance + 10 WHERE id = 2")
        return None


def go_home(made: ScheduleSearch, name: str, is_right: bool) -> None:
    """Go off call if another doctor is on call."""
    with made.engine.begin() as connection:
        on_call = sql(connection, f"SELECT name FROM doctors WHERE on_call ORDER BY name {'FOR UPDATE' * is_right}")
        if len(on_call.all()) > 1:
            sql(connection, "UPDATE doctors SET on_call = false WHERE name = :name", name=name)


def book_a_room(made: ScheduleSearch, name: str, is_right: bool) -> None:
    """Book from 9 to 11, or from 10 to 12, if it is free."""
    during = "[9, 11)" if name == "ada" else "[10, 12)"
    table = "exclusive_bookings" if is_right else "bookings"
    with made.engine.begin() as connection:
        span = "CAST(CAST(:during AS text) AS int4range)"  # as text for each driver
        if sql(connection, f"SELECT FROM {table} WHERE during && {span}", during=during).rowcount == 0:
            sql(connection, f"INSERT INTO {table} VALUES ({span})", during=during)


def claim_a_world(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Claim a world, once at most, under its lock. Claims are counted by the locking statement, or after it."""
    count = "SELECT count(*) FROM claims WHERE world = 1"
    with made.engine.begin() as connection:
        counted = sql(connection, f"SELECT ({count}) FROM worlds WHERE id = 1 FOR UPDATE").scalar_one()
        claims = sql(connection, count).scalar_one() if is_right else counted
        if claims == 0:
            sql(connection, "INSERT INTO claims VALUES (1)")


def score(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Insert, and on a conflict update. The wrong twin updates in the failed transaction, which is an error."""
    update = "UPDATE scores SET points = points + 1 WHERE name = 'eve'"
    with made.engine.begin() as connection:
        if sql(connection, update).rowcount == 1:
            return
        inserting = connection.begin_nested() if is_right else None
        try:
            sql(connection, "INSERT INTO scores VALUES ('eve', 1)")
        except IntegrityError:
            if inserting:
                inserting.rollback()
            sql(connection, update)


def charge(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Charge once for a key: insert the key first, or only look for it first."""
    with made.engine.begin() as connection:
        if is_right:
            is_new = sql(connection, "INSERT INTO keys VALUES ('k') ON CONFLICT DO NOTHING").rowcount == 1
        else:
            is_new = sql(connection, "SELECT FROM keys WHERE key = 'k'").rowcount == 0
        if is_new:
            sql(connection, "INSERT INTO charges VALUES ('k')")
        if is_new and not is_right:
            sql(connection, "INSERT INTO keys VALUES ('k') ON CONFLICT DO NOTHING")


def deposit_and_send_a_mail(made: ScheduleSearch, _name: str, is_right: bool) -> int:
    """Retry serialization failures, and return the number of mails: one an attempt, or one a success."""
    mails = 0
    while True:
        try:
            with made.engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
                balance = sql(connection, "SELECT balance FROM accounts WHERE id = 1").scalar_one()
                mails += not is_right
                sql(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=balance + 1)
        except DBAPIError as error:
            if sqlstate(error) != "40001":
                raise
        else:
            return mails + is_right


def publish_or_poll(made: ScheduleSearch, name: str, is_right: bool) -> list[int]:
    """Ada and bob publish events. Cyd polls twice for events after the last that she has seen."""
    last, polls = 0, 2 if name == "cyd" else 0
    seen: list[int] = []
    for _ in range(polls):
        with made.engine.begin() as connection:
            if is_right:
                sql(connection, "LOCK TABLE events IN SHARE MODE")  # waits for whoever has inserted
            seen += sql(connection, "SELECT id FROM events WHERE id > :last ORDER BY id", last=last).scalars()
        last = max(seen, default=0)
    if not polls:
        with made.engine.begin() as connection:
            sql(connection, "INSERT INTO events (name) VALUES (:name)", name=name)
    return seen


def write_with_a_lease(made: ScheduleSearch, _name: str, is_right: bool) -> None:
    """Take the lease for 30 s if it has ended, work for a minute, and write."""
    clock = made.simulation.clock
    with made.engine.begin() as connection:
        take = "UPDATE leases SET token = token + 1, ends = :ends WHERE ends < :now RETURNING token"
        now = clock.now()
        token = sql(connection, take, now=now, ends=now + timedelta(seconds=30)).scalar()
    if token is None:
        return
    made.sleep(timedelta(minutes=1))
    with made.engine.begin() as connection:
        fence = "WHERE token = :token" if is_right else ""
        sql(connection, f"UPDATE leases SET written_by = :token {fence}", token=token)


def passes_over(_made: ScheduleSearch, result: Result) -> bool:
    """Return whether cyd has missed an event."""
    seen: list[int] = result.value("cyd")
    return seen != sorted(range(1, max(seen, default=0) + 1))


def number(query: LiteralString, expected: int) -> Callable[[ScheduleSearch, Result], bool]:
    """Return a check whether a query's number differs from that of every serial order of the clients."""
    return lambda made, _result: made.value(query) != expected


BUGS = {
    "lost update": Bug(deposit, number("SELECT balance FROM accounts WHERE id = 1", 52)),
    "double claim": Bug(claim_a_job, lambda _, result: {result.value("ada"), result.value("bob")} != {1, 2}),
    "ignored rowcount": Bug(
        save_a_page,
        lambda made, result: made.value("SELECT version FROM pages") != 1 + result.value("ada") + result.value("bob"),
    ),
    "get or create": Bug(
        get_or_create_a_tag, number("SELECT count(*) FROM (TABLE tags UNION ALL TABLE unique_tags) AS t", 1)
    ),
    "max + 1": Bug(number_an_invoice, number("SELECT count(DISTINCT number) FROM invoices", 2)),
    "read skew in a report": Bug(report_or_transfer, lambda _, result: result.value("ada") != 100),
    "write skew on call": Bug(go_home, number("SELECT count(*) FROM doctors WHERE on_call", 1)),
    "overlapping bookings": Bug(
        book_a_room, number("SELECT count(*) FROM (TABLE bookings UNION ALL TABLE exclusive_bookings) AS b", 1)
    ),
    "cap of an earlier snapshot": Bug(claim_a_world, number("SELECT count(*) FROM claims", 1)),
    "upsert retried in a failed transaction": Bug(score, number("SELECT points FROM scores", 2)),
    "idempotency key checked, then inserted": Bug(charge, number("SELECT count(*) FROM charges", 1)),
    "retry repeats a mail": Bug(
        deposit_and_send_a_mail, lambda _, result: (result.value("ada"), result.value("bob")) != (1, 1)
    ),
    "outbox skips an event": Bug(publish_or_poll, passes_over, preemptions=1, clients=("ada", "bob", "cyd")),
    "zombie with a lease": Bug(
        write_with_a_lease, lambda made, _: made.value("SELECT written_by <> token FROM leases")
    ),
}


@pytest.fixture(scope="module")
def made(processes: ServerProcesses, driver: str) -> Iterator[ScheduleSearch]:
    with schedule_search(processes, SCHEMA, PREPARE, driver) as found:
        yield found


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_bug_is_found_and_its_fixed_twin_is_not_reported(made: ScheduleSearch, bug: Bug) -> None:
    """Among all schedules within the bound, at least one is wrong for the bug, and none for the twin."""
    for is_right in (False, True):
        clients = {name: partial(bug.client, made, name, is_right) for name in bug.clients}
        found = made.search_all(clients, bug.preemptions, partial(bug.is_wrong, made))
        assert is_right == (found.first is None)
