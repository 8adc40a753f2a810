"""The same smallest simulation with testcontainers and Alembic, as their guides have it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parents[1]))
from peers import migrate, with_testcontainers


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A migrated database in a container."""
    with with_testcontainers(os.environ["BENCH_IMAGE"]) as (url, _container):
        migrate(url)
        yield url


def test_nobody_is_there_yet(database: str) -> None:
    """A migrated database is empty."""

    class Trivial(RuleBasedStateMachine):
        """A machine that looks."""

        @rule()
        def look(self) -> None:
            """There are no agents."""
            with psycopg.connect(database.replace("+psycopg", "")) as connection:
                assert connection.execute("SELECT count(*) FROM agents").fetchone() == (0,)

    chosen = settings(max_examples=1, stateful_step_count=1, database=None, deadline=None)
    run_state_machine_as_test(Trivial, settings=chosen)
