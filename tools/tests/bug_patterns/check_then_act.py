"""Check, then act."""

from sqlalchemy import Connection

from bug_patterns.pattern import LOG, RR, Client, Pattern, Work, ask, auto, do, statements, two, tx, unless


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
