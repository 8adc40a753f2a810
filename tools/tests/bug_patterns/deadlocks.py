"""Deadlocks, and errors that only others cause."""

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bug_patterns.pattern import LOG, Client, Pattern, Work, ask, auto, do, statements, two, tx


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
