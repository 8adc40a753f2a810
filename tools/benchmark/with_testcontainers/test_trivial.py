"""The same smallest simulation with testcontainers and Alembic, as their guides have it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from peers import migrate, with_testcontainers
from trivial_machine import look_once


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A migrated database in a container."""
    with with_testcontainers(os.environ["BENCH_IMAGE"]) as (url, _container):
        migrate(url)
        yield url


def test_nobody_is_there_yet(database: str) -> None:
    """A migrated database is empty."""
    look_once(database)
