"""The fixtures of the backend's tests: a real Postgres of the run's own, migrated by Alembic."""

from collections.abc import Iterator

import pytest
from pgdst import Server
from sqlalchemy import Engine, create_engine

pytest_plugins = ["pgdst.pytest.plugin"]


@pytest.fixture(scope="session")
def postgres_container(pgdst_server: Server) -> str:
    """The SQLAlchemy URL of the server: the one that make has started, else a leased one of this pytest's own."""
    return pgdst_server.url


@pytest.fixture(scope="session")
def test_db(postgres_container: str, migrated_server: Server) -> Iterator[Engine]:
    """An engine on the run's database, with all migrations applied."""
    assert postgres_container == migrated_server.url
    engine = create_engine(postgres_container)
    yield engine
    engine.dispose()
