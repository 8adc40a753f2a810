"""Concurrency bugs that people ship, each with a twin that does it right: what `explore` is measured by.

Source: public bug reports, PostgreSQL's isolation tests, and Warszawski and Bailis, ACIDRain, SIGMOD 2017.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, version int NOT NULL DEFAULT 1);
CREATE TABLE jobs (id int PRIMARY KEY, owner text, done bool NOT NULL DEFAULT false);
CREATE TABLE tags (name text);
CREATE TABLE unique_tags (name text PRIMARY KEY, uses int NOT NULL DEFAULT 1);
CREATE TABLE numbers (n int);
CREATE TABLE doctors (name text PRIMARY KEY, on_call bool NOT NULL);
CREATE TABLE bookings (during int4range);
CREATE TABLE exclusive_bookings (during int4range, EXCLUDE USING gist (during WITH &&));
CREATE TABLE rooms (id int PRIMARY KEY, guests int NOT NULL DEFAULT 0);
CREATE TABLE guests (room int NOT NULL, name text);
CREATE TABLE bound_guests (room int NOT NULL REFERENCES rooms, name text);
CREATE TABLE charges (key text);
CREATE TABLE keys (key text PRIMARY KEY);
CREATE TABLE log (line text);
CREATE TABLE outbox (id int PRIMARY KEY, sent bool NOT NULL DEFAULT false);
CREATE SEQUENCE outbox_ids;
CREATE TABLE cursors (last int NOT NULL);
CREATE TABLE documents (id int PRIMARY KEY, body jsonb NOT NULL, status text NOT NULL DEFAULT 'new');
INSERT INTO accounts VALUES (1, 50), (2, 50), (3, 50);
INSERT INTO jobs VALUES (1), (2);
INSERT INTO doctors VALUES ('ada', true), ('bob', true);
INSERT INTO rooms VALUES (1);
INSERT INTO cursors VALUES (0);
INSERT INTO documents VALUES (1, '{}');
INSERT INTO unique_tags VALUES ('a', 0), ('b', 0);
"""

Client = Callable[[Engine], Any]
Work = Callable[[Connection], Any]
RR, SERIALIZABLE = "REPEATABLE READ", "SERIALIZABLE"


@dataclass(frozen=True)
class Pattern:
    """Clients that do it wrong, others that do it right, and a question that is true where nothing went wrong.

    Without a question, the outcome must be that of a serial order.
    """

    wrong: Mapping[str, Client]
    right: Mapping[str, Client]
    question: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rightly: Mapping[str, Any] = field(default_factory=dict)  # options of the right twin


def do(connection: Connection, statement: str, **parameters: Any) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.execute(text(statement), parameters).rowcount


def ask(connection: Connection, query: str, **parameters: Any) -> Any:
    """Return the first value of a query."""
    return connection.execute(text(query), parameters).scalar()


def tx(work: Work, level: str | None = None) -> Client:
    """Return a client that does its work in one transaction."""

    def client(engine: Engine) -> None:
        with engine.connect() as connection:
            if level is not None:
                connection = connection.execution_options(isolation_level=level)
            with connection.begin():
                work(connection)

    return client


def statements(*queries: str, level: str | None = None) -> Client:
    """Return a client that executes statements in one transaction."""
    return tx(lambda connection: [do(connection, query) for query in queries][-1], level)


def auto(statement: str) -> Client:
    """Return a client of one statement that commits by itself."""

    def client(engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            do(connection, statement)

    return client


def retrying(client: Client) -> Client:
    """Return a client that begins anew where the server has undone its transaction."""

    def again(engine: Engine) -> None:
        while True:
            try:
                client(engine)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in ("40001", "40P01"):
                    raise
            else:
                return

    return again


def two(client: Client) -> dict[str, Client]:
    """Return two clients that do the same."""
    return {"ada": client, "bob": client}


def unless(query: str, *queries: str, level: str | None = None, **parameters: Any) -> Client:
    """Return a client that executes statements unless a query finds something."""

    def work(connection: Connection) -> None:
        if not ask(connection, query, **parameters):
            for one in queries:
                do(connection, one)

    return tx(work, level)


# Lost updates.


def _read_then_write(lock: str = "") -> Work:
    def work(connection: Connection) -> None:
        found = ask(connection, f"SELECT balance FROM accounts WHERE id = 1 {lock}")
        do(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=found + 1)

    return work


def _lock_after_reading(connection: Connection) -> None:
    found = ask(connection, "SELECT balance FROM accounts WHERE id = 1")
    do(connection, "SELECT FROM accounts WHERE id = 1 FOR UPDATE")
    do(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=found + 1)


def _versioned(*, looks: bool) -> Work:
    def work(connection: Connection) -> None:
        version = ask(connection, "SELECT version FROM accounts WHERE id = 1")
        changed = do(connection, "UPDATE accounts SET version = version + 1 WHERE id = 1 AND version = :v", v=version)
        if changed or not looks:
            do(connection, "INSERT INTO log VALUES ('changed')")

    return work


class Base(DeclarativeBase):
    """Tables for the ORM."""


class Account(Base):
    """An account."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


def _stale(*, refreshed: bool) -> Client:
    def client(engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            account = session.get(Account, 1)
            assert account is not None
            session.execute(text("SELECT FROM accounts WHERE id = 1 FOR UPDATE"))
            if refreshed:
                session.refresh(account)
            account.balance += 1

    return client


def _merge_in_python(key: str) -> Work:
    def work(connection: Connection) -> None:
        body = ask(connection, "SELECT body FROM documents WHERE id = 1")
        do(connection, "UPDATE documents SET body = CAST(:body AS jsonb)", body=str({**body, key: 1}).replace("'", '"'))

    return work


def _toggle(connection: Connection) -> None:
    is_on = ask(connection, "SELECT on_call FROM doctors WHERE name = 'ada'")
    do(connection, "UPDATE doctors SET on_call = :other WHERE name = 'ada'", other=not is_on)


def _newer(value: int) -> Work:
    def work(connection: Connection) -> None:
        if ask(connection, "SELECT last FROM cursors") < value:
            do(connection, "UPDATE cursors SET last = :value", value=value)

    return work


def _advisory(*, to_the_end: bool) -> Work:
    def work(connection: Connection) -> None:
        do(connection, "SELECT pg_advisory_xact_lock(1)" if to_the_end else "SELECT pg_advisory_lock(1)")
        _read_then_write()(connection)
        if not to_the_end:
            do(connection, "SELECT pg_advisory_unlock(1)")

    return work


LOST_UPDATES = {
    "read_modify_write": Pattern(
        two(tx(_read_then_write())),
        two(statements("UPDATE accounts SET balance = balance + 1 WHERE id = 1")),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "lock_after_reading": Pattern(
        two(tx(_lock_after_reading)),
        two(tx(_read_then_write("FOR UPDATE"))),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "rowcount_of_a_version_ignored": Pattern(
        two(tx(_versioned(looks=False))),
        two(tx(_versioned(looks=True))),
        "SELECT version - 1 = (SELECT count(*) FROM log) FROM accounts WHERE id = 1",
    ),
    "stale_identity_map": Pattern(
        two(_stale(refreshed=False)), two(_stale(refreshed=True)), "SELECT balance = 52 FROM accounts WHERE id = 1"
    ),
    "document_merged_in_python": Pattern(
        {"ada": tx(_merge_in_python("a")), "bob": tx(_merge_in_python("b"))},
        {
            "ada": statements("""UPDATE documents SET body = body || '{"a"\\: 1}'"""),
            "bob": statements("""UPDATE documents SET body = body || '{"b"\\: 1}'"""),
        },
        "SELECT body ?& '{a,b}' FROM documents",
    ),
    "flag_toggled_in_python": Pattern(
        two(tx(_toggle)),
        two(statements("UPDATE doctors SET on_call = NOT on_call WHERE name = 'ada'")),
        "SELECT on_call FROM doctors WHERE name = 'ada'",
    ),
    "older_value_written_last": Pattern(
        {"ada": tx(_newer(1)), "bob": tx(_newer(2))},
        {
            "ada": statements("UPDATE cursors SET last = greatest(last, 1)"),
            "bob": statements("UPDATE cursors SET last = greatest(last, 2)"),
        },
        "SELECT last = 2 FROM cursors",
    ),
    "advisory_lock_released_before_commit": Pattern(
        two(tx(_advisory(to_the_end=False))),
        two(tx(_advisory(to_the_end=True))),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "counter_computed_from_rows": Pattern(
        two(
            statements(
                "INSERT INTO guests VALUES (1, 'new')",
                "UPDATE rooms SET guests = (SELECT count(*) FROM guests WHERE room = 1) WHERE id = 1",
            )
        ),
        two(statements("INSERT INTO guests VALUES (1, 'new')", "UPDATE rooms SET guests = guests + 1 WHERE id = 1")),
        "SELECT guests = 2 FROM rooms",
    ),
}

# Check, then act.


def _claim(*, by_count: bool) -> Work:
    def work(connection: Connection) -> None:
        if by_count:
            if do(connection, "UPDATE jobs SET owner = 'me' WHERE id = 1 AND owner IS NULL"):
                do(connection, "INSERT INTO log VALUES ('claimed')")
        elif ask(connection, "SELECT owner FROM jobs WHERE id = 1") is None:
            do(connection, "UPDATE jobs SET owner = 'me' WHERE id = 1")
            do(connection, "INSERT INTO log VALUES ('claimed')")

    return work


def _withdraw(lock: str) -> Work:
    def work(connection: Connection) -> None:
        if ask(connection, f"SELECT balance FROM accounts WHERE id = 1 {lock}") >= 40:
            do(connection, "UPDATE accounts SET balance = balance - 40 WHERE id = 1")

    return work


def _numbered(connection: Connection) -> None:
    highest = ask(connection, "SELECT max(n) FROM numbers") or 0
    do(connection, "INSERT INTO numbers VALUES (:n)", n=highest + 1)


def _numbered_under_a_lock(connection: Connection) -> None:
    do(connection, "LOCK TABLE numbers IN SHARE ROW EXCLUSIVE MODE")
    _numbered(connection)


def _moves(to: str) -> Client:
    return unless("SELECT status <> 'new' FROM documents", f"UPDATE documents SET status = '{to}'", LOG)


def _moves_rightly(to: str) -> Client:
    def work(connection: Connection) -> None:
        if do(connection, f"UPDATE documents SET status = '{to}' WHERE status = 'new'"):
            do(connection, LOG)

    return tx(work)


LOG = "INSERT INTO log VALUES ('done')"
ONE_LINE = "SELECT count(*) = 1 FROM log"
NEW_TAG, IS_TAGGED = "INSERT INTO tags VALUES ('new')", "SELECT count(*) FROM tags WHERE name = 'new'"
ONE_TAG = "SELECT count(*) = 1 FROM tags"
NEW_GUEST, ROOM_IS_FULL = "INSERT INTO guests VALUES (1, 'new')", "SELECT count(*) >= 1 FROM guests WHERE room = 1"
LOCK_ROOM = "SELECT FROM rooms WHERE id = 1 FOR UPDATE"


def _into_the_room(level: str | None = None, *, locks: bool = True) -> Client:
    def work(connection: Connection) -> None:
        do(connection, "SELECT FROM log")  # takes the snapshot
        if locks:
            do(connection, LOCK_ROOM)
        if not ask(connection, ROOM_IS_FULL):
            do(connection, NEW_GUEST)

    return tx(work, level)


CHECK_THEN_ACT = {
    "double_claim": Pattern(two(tx(_claim(by_count=False))), two(tx(_claim(by_count=True))), ONE_LINE),
    "get_or_create": Pattern(
        two(unless(IS_TAGGED, NEW_TAG)),
        two(statements("INSERT INTO unique_tags VALUES ('new') ON CONFLICT DO NOTHING")),
        "SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM unique_tags WHERE name = 'new') = 1",
    ),
    "insert_where_not_exists": Pattern(
        two(auto("INSERT INTO tags SELECT 'new' WHERE NOT EXISTS (SELECT FROM tags WHERE name = 'new')")),
        two(auto("INSERT INTO unique_tags VALUES ('new') ON CONFLICT DO NOTHING")),
        "SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM unique_tags WHERE name = 'new') = 1",
    ),
    "withdrawn_twice": Pattern(
        two(tx(_withdraw(""))), two(tx(_withdraw("FOR UPDATE"))), "SELECT balance >= 0 FROM accounts WHERE id = 1"
    ),
    "highest_number_plus_one": Pattern(
        two(tx(_numbered)), two(tx(_numbered_under_a_lock)), "SELECT count(DISTINCT n) = 2 FROM numbers"
    ),
    "two_ends_of_one_state": Pattern(
        {"ada": _moves("paid"), "bob": _moves("cancelled")},
        {"ada": _moves_rightly("paid"), "bob": _moves_rightly("cancelled")},
        ONE_LINE,
    ),
    "limit_counted_without_a_lock": Pattern(
        two(_into_the_room(locks=False)), two(_into_the_room()), "SELECT count(*) = 1 FROM guests"
    ),
    "limit_counted_in_an_older_snapshot": Pattern(
        two(_into_the_room(RR)), two(_into_the_room()), "SELECT count(*) = 1 FROM guests"
    ),
    "overlap_looked_for_and_inserted": Pattern(
        two(unless("SELECT count(*) FROM bookings WHERE during && '[1,5)'", "INSERT INTO bookings VALUES ('[1,5)')")),
        two(statements("INSERT INTO exclusive_bookings VALUES ('[1,5)')")),
        "SELECT (SELECT count(*) FROM bookings) + (SELECT count(*) FROM exclusive_bookings) = 1",
        rightly={"expected_errors": ["23P01", "40P01"]},
    ),
    "key_looked_for_and_inserted": Pattern(
        two(unless("SELECT count(*) FROM charges", "INSERT INTO charges VALUES ('k')")),
        two(
            tx(
                lambda connection: (
                    do(connection, "INSERT INTO keys VALUES ('k') ON CONFLICT DO NOTHING")
                    and do(connection, "INSERT INTO charges VALUES ('k')")
                )
            )
        ),
        "SELECT count(*) = 1 FROM charges",
    ),
    "names_that_differ_by_case": Pattern(
        {
            "ada": unless("SELECT count(*) FROM tags WHERE lower(name) = 'new'", "INSERT INTO tags VALUES ('New')"),
            "bob": unless("SELECT count(*) FROM tags WHERE lower(name) = 'new'", "INSERT INTO tags VALUES ('NEW')"),
        },
        {
            "ada": statements("INSERT INTO unique_tags VALUES (lower('New')) ON CONFLICT DO NOTHING"),
            "bob": statements("INSERT INTO unique_tags VALUES (lower('NEW')) ON CONFLICT DO NOTHING"),
        },
        "SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM unique_tags WHERE name = 'new') = 1",
    ),
    "guest_of_a_room_that_was_closed": Pattern(
        {
            "ada": unless("SELECT guests < 0 FROM rooms WHERE id = 1", NEW_GUEST),
            "bob": unless("SELECT count(*) FROM guests", "UPDATE rooms SET guests = -1 WHERE id = 1"),
        },
        {
            "ada": unless("SELECT guests < 0 FROM rooms WHERE id = 1 FOR UPDATE", NEW_GUEST),
            "bob": tx(
                lambda connection: (
                    do(connection, LOCK_ROOM),
                    ask(connection, "SELECT count(*) FROM guests")
                    or do(connection, "UPDATE rooms SET guests = -1 WHERE id = 1"),
                )
            ),
        },
        "SELECT guests >= 0 OR NOT EXISTS (SELECT FROM guests) FROM rooms",
    ),
    "child_of_a_deleted_parent": Pattern(
        {
            "ada": unless("SELECT NOT EXISTS (SELECT FROM rooms WHERE id = 1)", NEW_GUEST),
            "bob": unless("SELECT count(*) FROM guests", "DELETE FROM rooms WHERE id = 1"),
        },
        {
            "ada": unless("SELECT NOT EXISTS (SELECT FROM rooms WHERE id = 1 FOR KEY SHARE)", NEW_GUEST),
            "bob": tx(
                lambda connection: (
                    do(connection, LOCK_ROOM),
                    ask(connection, "SELECT count(*) FROM guests") or do(connection, "DELETE FROM rooms WHERE id = 1"),
                )
            ),
        },
        "SELECT NOT EXISTS (SELECT FROM guests WHERE room NOT IN (SELECT id FROM rooms))",
    ),
}

# Skew, and snapshots.


def _goes_off(name: str, level: str | None, lock: str = "") -> Client:
    def work(connection: Connection) -> None:
        if len(connection.execute(text(f"SELECT name FROM doctors WHERE on_call ORDER BY name {lock}")).all()) == 2:
            do(connection, "UPDATE doctors SET on_call = false WHERE name = :name", name=name)

    return tx(work, level)


def _report(level: str | None) -> Client:
    def work(connection: Connection) -> None:
        total = sum(ask(connection, "SELECT balance FROM accounts WHERE id = :id", id=one) for one in (1, 2))
        do(connection, "INSERT INTO log VALUES (:total)", total=str(total))

    return tx(work, level)


TRANSFER = statements(
    "UPDATE accounts SET balance = balance - 10 WHERE id = 1", "UPDATE accounts SET balance = balance + 10 WHERE id = 2"
)


def _tag_id(level: str | None) -> Client:
    def work(connection: Connection) -> None:
        do(connection, "SELECT FROM log")
        do(connection, "INSERT INTO unique_tags VALUES ('new') ON CONFLICT DO NOTHING")
        found = connection.execute(text("SELECT name FROM unique_tags WHERE name = 'new'")).one()
        do(connection, "INSERT INTO log VALUES (:name)", name=found.name)

    return tx(work, level)


SKEW = {
    "write_skew": Pattern(
        {"ada": _goes_off("ada", RR), "bob": _goes_off("bob", RR)},
        {"ada": _goes_off("ada", SERIALIZABLE), "bob": _goes_off("bob", SERIALIZABLE)},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
        rightly={"expected_errors": ["40001"]},
    ),
    "last_one_leaves": Pattern(
        {"ada": _goes_off("ada", None), "bob": _goes_off("bob", None)},
        {"ada": _goes_off("ada", None, "FOR UPDATE"), "bob": _goes_off("bob", None, "FOR UPDATE")},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
    ),
    "read_skew_in_a_report": Pattern(
        {"ada": TRANSFER, "bob": _report(None)},
        {"ada": TRANSFER, "bob": _report(RR)},
        "SELECT bool_and(line = '100') FROM log",
    ),
    "do_nothing_that_reads_nothing": Pattern(two(_tag_id(RR)), two(_tag_id(None))),
    "serializable_without_a_retry": Pattern(
        {"ada": _goes_off("ada", SERIALIZABLE), "bob": _goes_off("bob", SERIALIZABLE)},
        {"ada": retrying(_goes_off("ada", SERIALIZABLE)), "bob": retrying(_goes_off("bob", SERIALIZABLE))},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
    ),
    "read_skew_without_a_question": Pattern(
        {"ada": _report(None), "bob": TRANSFER}, {"ada": _report(RR), "bob": TRANSFER}
    ),
}

# Deadlocks and errors that only others cause.


def _update(*accounts: int) -> Client:
    return statements(*(f"UPDATE accounts SET balance = balance + 1 WHERE id = {one}" for one in accounts))


def _upsert(*names: str) -> Client:
    values = ", ".join(f"('{name}')" for name in names)
    return auto(f"INSERT INTO unique_tags VALUES {values} ON CONFLICT (name) DO UPDATE SET uses = unique_tags.uses + 1")


def _tagged(*, in_a_savepoint: bool) -> Work:
    def work(connection: Connection) -> None:
        if ask(connection, "SELECT count(*) FROM unique_tags WHERE name = 'new'"):
            do(connection, "UPDATE unique_tags SET uses = uses + 1 WHERE name = 'new'")
            return
        try:
            if in_a_savepoint:
                with connection.begin_nested():
                    do(connection, "INSERT INTO unique_tags VALUES ('new')")
            else:
                do(connection, "INSERT INTO unique_tags VALUES ('new')")
        except IntegrityError:
            do(connection, "UPDATE unique_tags SET uses = uses + 1 WHERE name = 'new'")

    return work


DEADLOCKS = {
    "locks_in_two_orders": Pattern(
        {"ada": _update(1, 2), "bob": _update(2, 1)}, {"ada": _update(1, 2), "bob": _update(1, 2)}
    ),
    "locks_in_a_cycle_of_three": Pattern(
        {"ada": _update(1, 2), "bob": _update(2, 3), "cyd": _update(3, 1)},
        {"ada": _update(1, 2), "bob": _update(2, 3), "cyd": _update(1, 3)},
    ),
    "share_lock_that_becomes_exclusive": Pattern(
        two(statements("SELECT FROM accounts WHERE id = 1 FOR SHARE", "UPDATE accounts SET balance = 0 WHERE id = 1")),
        two(statements("SELECT FROM accounts WHERE id = 1 FOR UPDATE", "UPDATE accounts SET balance = 0 WHERE id = 1")),
    ),
    "child_inserted_before_its_parent_is_updated": Pattern(
        two(
            statements(
                "INSERT INTO bound_guests VALUES (1, 'new')",
                "SELECT FROM rooms WHERE id = 1 FOR UPDATE",
            )
        ),
        two(
            statements(
                "SELECT FROM rooms WHERE id = 1 FOR UPDATE",
                "INSERT INTO bound_guests VALUES (1, 'new')",
            )
        ),
    ),
    "rows_upserted_in_two_orders": Pattern(
        {"ada": _upsert("a", "b"), "bob": _upsert("b", "a")}, {"ada": _upsert("a", "b"), "bob": _upsert("a", "b")}
    ),
    "statement_after_a_failed_one": Pattern(
        two(tx(_tagged(in_a_savepoint=False))), two(tx(_tagged(in_a_savepoint=True))), "SELECT true"
    ),
    "nowait_where_one_should_wait": Pattern(
        two(statements("SELECT FROM accounts WHERE id = 1 FOR UPDATE NOWAIT", LOG)),
        two(statements("SELECT FROM accounts WHERE id = 1 FOR UPDATE", LOG)),
    ),
    "session_lock_kept_by_the_pool": Pattern(
        two(statements("SELECT pg_advisory_lock(7)")), two(statements("SELECT pg_advisory_xact_lock(7)"))
    ),
}

# Queues, tasks and what is told too soon.


def _take(connection: Connection) -> None:
    found = ask(connection, "SELECT id FROM jobs WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    if found is not None:
        do(connection, "UPDATE jobs SET done = true WHERE id = :id", id=found)


def _publish(*, locks: bool) -> Work:
    def work(connection: Connection) -> None:
        if locks:
            do(connection, "SELECT FROM cursors FOR UPDATE")
        do(connection, "INSERT INTO outbox VALUES (nextval('outbox_ids'))")
        do(connection, LOG)

    return work


def _poll(*, locks: bool) -> Work:
    def work(connection: Connection) -> None:
        last = ask(connection, f"SELECT last FROM cursors {'FOR UPDATE' if locks else ''}")
        do(connection, "UPDATE outbox SET sent = true WHERE id > :last", last=last)
        do(connection, "UPDATE cursors SET last = greatest(last, (SELECT coalesce(max(id), 0) FROM outbox WHERE sent))")

    return work


def _order(*, tells_first: bool) -> Client:
    def client(engine: Engine) -> None:
        if tells_first:
            auto("UPDATE jobs SET owner = 'order' WHERE id = 1")(engine)
        statements("INSERT INTO tags VALUES ('order')")(engine)
        if not tells_first:
            auto("UPDATE jobs SET owner = 'order' WHERE id = 1")(engine)

    return client


def _works_on_the_order(connection: Connection) -> None:
    if ask(connection, "SELECT owner FROM jobs WHERE id = 1") == "order" and not ask(
        connection, "SELECT count(*) FROM tags"
    ):
        do(connection, "INSERT INTO log VALUES ('no such order')")


def _side_effect(*, in_the_transaction: bool) -> Client:
    def client(engine: Engine) -> None:
        while True:
            try:
                if not in_the_transaction:
                    auto(LOG)(engine)
                tx(lambda c: (_read_then_write()(c), in_the_transaction and do(c, LOG)), RR)(engine)
            except DBAPIError:
                continue
            return

    return client


def _charge(*, with_a_key: bool) -> Client:
    def work(connection: Connection) -> None:
        if not with_a_key or do(connection, "INSERT INTO keys VALUES ('k') ON CONFLICT DO NOTHING"):
            do(connection, "INSERT INTO charges VALUES ('k')")

    def client(engine: Engine) -> None:
        for _ in range(3):
            with suppress(DBAPIError):
                tx(work)(engine)
                return

    return client


FIRST_JOB = "SELECT min(id) FROM jobs WHERE NOT done"

QUEUES = {
    "queue_that_seems_empty": Pattern(
        two(
            statements("UPDATE jobs SET done = true WHERE NOT done AND id = (SELECT min(id) FROM jobs WHERE NOT done)")
        ),
        two(tx(_take)),
        "SELECT bool_and(done) FROM jobs",
    ),
    "poll_that_skips_an_uncommitted_row": Pattern(
        {"ada": tx(_publish(locks=False)), "bob": tx(_publish(locks=False)), "cyd": tx(_poll(locks=False))},
        {"ada": tx(_publish(locks=True)), "bob": tx(_publish(locks=True)), "cyd": tx(_poll(locks=True))},
        "SELECT NOT EXISTS (SELECT FROM outbox WHERE NOT sent AND id <= (SELECT last FROM cursors))",
    ),
    "task_sent_before_the_commit": Pattern(
        {"ada": _order(tells_first=True), "bob": tx(_works_on_the_order)},
        {"ada": _order(tells_first=False), "bob": tx(_works_on_the_order)},
        "SELECT count(*) = 0 FROM log",
    ),
    "side_effect_repeated_by_a_retry": Pattern(
        two(_side_effect(in_the_transaction=False)),
        two(_side_effect(in_the_transaction=True)),
        "SELECT count(*) = 2 FROM log",
    ),
    "charged_twice_after_an_ambiguous_commit": Pattern(
        {"ada": _charge(with_a_key=False)},
        {"ada": _charge(with_a_key=True)},
        "SELECT count(*) <= 1 FROM charges",
        options={"faults": "each"},
        rightly={"faults": "each"},
    ),
}

PATTERNS: dict[str, Pattern] = {**LOST_UPDATES, **CHECK_THEN_ACT, **SKEW, **DEADLOCKS, **QUEUES}
