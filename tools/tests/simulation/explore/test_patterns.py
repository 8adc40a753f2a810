"""Bugs that people ship: explore finds each with its own settings, and reports no twin."""

from collections.abc import Callable
from typing import Any

import bug_patterns
import pytest
from bug_patterns import PATTERNS
from bug_patterns.pattern import Pattern, ask
from pgdst.simulation.explore.explore import FoundError, explore
from sqlalchemy import Connection, Engine, create_engine

SCHEMA = bug_patterns.SCHEMA


def check_of(question: str | None) -> Callable[[Connection], Any] | None:
    """Return the check that asks a question, if there is one."""
    return None if question is None else lambda connection: ask(connection, question) is not False


def engine_of(pattern: Pattern, url: str) -> Engine:
    """Return an engine with the pattern's pool."""
    options = {} if pattern.pool_size is None else {"pool_size": pattern.pool_size, "max_overflow": 0}
    return create_engine(url, **options)


# At each change; the others at night.
AT_ONCE = ("read_modify_write", "insert_where_not_exists", "locks_in_two_orders", "session_lock_kept_by_the_pool")
# The sentence that says what happened, one for each kind of bug.
HAPPENED = {
    "read_modify_write": "ada read accounts at step 2 (balance=50), bob changed it and committed at step 6, and ada "
    "wrote it at step 7.",
    "guest_of_a_room_that_was_closed": "ada read rooms at step 2 (f), bob changed it and committed at step 6, and ada "
    "wrote guests at step 7.",
    "insert_where_not_exists": "ada's INSERT INTO tags SELECT 'new' WHERE NOT… began at step 2, bob changed tags and "
    "committed at step 6, and the statement went on with what it had read.",
    "counter_computed_from_rows": "bob's UPDATE rooms SET guests = (SELECT count… began at step 6, ada had changed "
    "guests and committed at step 7, and the statement went on with what it had read.",
    "limit_counted_in_an_older_snapshot": "ada's transaction sees the database as it was at step 2, bob changed guests "
    "and committed at step 8, and ada read guests at step 10 (f) without that.",
    "read_skew_in_a_report": "bob read accounts at step 2 (balance=50), before ada's commit at step 6, and accounts at "
    "step 7 (balance=60), after it.",
    "locks_in_two_orders": "bob waited for ada (UPDATE accounts SET balance = balance +…, step 5) while ada waited for "
    "bob (UPDATE accounts SET balance = balance +…, step 6): a deadlock, and Postgres ended ada's statement.",
    "session_lock_kept_by_the_pool": "bob's SELECT pg_advisory_lock(7) waits since step 5 for ada, which ended at step "
    "3 and left the lock to its connection.",
    "nowait_where_one_should_wait": "bob's SELECT FROM accounts WHERE id = 1 FOR U… failed at step 4: 55P03 could not "
    'obtain lock on row in relation "accounts".',
    "charged_twice_after_an_ambiguous_commit": "The connection was lost after the server had executed ada's COMMIT at "
    "step 3, and ada sent INSERT INTO charges VALUES ('k') again at step 5.",
    "task_sent_before_the_commit": "bob went on at step 3, before ada's INSERT INTO tags VALUES ('order').",
}
NAMES = [name if name in AT_ONCE else pytest.param(name, marks=pytest.mark.long) for name in PATTERNS]


@pytest.mark.parametrize("name", NAMES)
def test_the_bug_is_found_and_replayed(url: str, name: str) -> None:
    """By one preemption, or one fault, where the clients are two."""
    pattern = PATTERNS[name]
    with pytest.raises(FoundError) as found:
        explore(engine_of(pattern, url), clients=pattern.wrong, check=check_of(pattern.question), **pattern.options)
    assert "replayed 10 of 10" in str(found.value)
    assert HAPPENED.get(name, "") in str(found.value)
    if len(pattern.wrong) < 3:
        assert found.value.result.preemptions + len(found.value.schedule.faults) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_right_twin_is_not_reported(url: str, name: str) -> None:
    pattern = PATTERNS[name]
    options = {"check": check_of(pattern.question), **pattern.rightly}
    explore(engine_of(pattern, url), clients=pattern.right, **options)
