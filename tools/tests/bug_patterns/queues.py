"""Queues, tasks, and what is told too soon."""

from contextlib import suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bug_patterns.pattern import LOG, RR, Client, Pattern, Work, ask, auto, do, read_then_write, statements, two, tx


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
                tx(lambda c: (read_then_write()(c), in_the_transaction and do(c, LOG)), RR)(engine)
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
