"""Bugs that people ship: explore finds each with its own settings, and reports no twin."""

from collections.abc import Callable, Iterator
from typing import Any

import bug_patterns
import pytest
from bug_patterns import PATTERNS
from conftest import explored_databases
from pgdst.database.databases import Databases
from pgdst.simulation.explore.explore import FoundError, explore
from sqlalchemy import Connection, Engine, create_engine


@pytest.fixture(scope="module")
def pattern_databases() -> Iterator[Databases]:
    """Clean databases with the tables of all patterns."""
    with explored_databases(bug_patterns.SCHEMA) as databases:
        yield databases


@pytest.fixture
def engine(pattern_databases: Databases) -> Iterator[Engine]:
    with pattern_databases.lend() as url:
        yield create_engine(url)


def check_of(question: str | None) -> Callable[[Connection], Any] | None:
    """Return the check that asks a question, if there is one."""
    return None if question is None else lambda connection: bug_patterns.ask(connection, question) is not False


# At each change; the others at night.
AT_ONCE = ("read_modify_write", "insert_where_not_exists", "locks_in_two_orders", "session_lock_kept_by_the_pool")
NAMES = [name if name in AT_ONCE else pytest.param(name, marks=pytest.mark.long) for name in PATTERNS]


@pytest.mark.parametrize("name", NAMES)
def test_the_bug_is_found_and_replayed(engine: Engine, name: str) -> None:
    """By one preemption, or one fault, where the clients are two."""
    pattern = PATTERNS[name]
    with pytest.raises(FoundError) as found:
        explore(engine, clients=pattern.wrong, check=check_of(pattern.question), **pattern.options)
    assert "replayed 10 of 10" in str(found.value)
    if len(pattern.wrong) < 3:
        assert found.value.result.preemptions + len(found.value.schedule.faults) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_right_twin_is_not_reported(engine: Engine, name: str) -> None:
    pattern = PATTERNS[name]
    options = {"check": check_of(pattern.question), **pattern.rightly}
    explore(engine, clients=pattern.right, **options)
