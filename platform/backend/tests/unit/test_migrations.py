"""migrations/: they go up, down and up again, and lead to what the models say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from deepsci.database import make_engine
from deepsci.models import Base
from sqlalchemy import Connection, Engine, create_engine, text

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
DEFINITIONS = text(
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND conrelid <> 0 AND conname NOT LIKE 'alembic%' "
    "UNION ALL SELECT tablename, indexname, regexp_replace(indexdef, ' ON \\w+\\.', ' ON ') FROM pg_indexes "
    "WHERE schemaname = current_schema() AND tablename NOT LIKE 'alembic%' ORDER BY 1, 2, 3"
)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection to a database at the migrations' head."""
    with engine.connect() as connection:
        yield connection


def alembic(connection: Connection) -> Config:
    """Return Alembic's configuration with a connection handed in."""
    config = Config(ALEMBIC_INI)
    config.attributes["connection"] = connection
    return config


def tables(connection: Connection) -> list[str]:
    """Return the names of all tables."""
    return list(connection.execute(TABLES).scalars())


def test_the_migrations_lead_to_the_models(connection: Connection) -> None:
    """Tables, columns, types, defaults, indexes and unique constraints, as Alembic compares them."""
    command.check(alembic(connection))


def test_the_migrations_lead_to_the_constraints_of_the_models(connection: Connection, database: str) -> None:
    """Every constraint and index by name and definition, checks included, which Alembic does not compare."""
    connection.execute(text("CREATE SCHEMA models"))
    connection.commit()
    beside = create_engine(make_engine(database).url, connect_args={"options": "-c search_path=models"})
    with beside.begin() as other:
        Base.metadata.create_all(other)
        expected = other.execute(DEFINITIONS).fetchall()
    beside.dispose()
    assert expected == connection.execute(DEFINITIONS).fetchall()


def test_the_migrations_go_down_and_up_again(connection: Connection) -> None:
    """Down to nothing, up to the same."""
    before = connection.execute(DEFINITIONS).fetchall()
    command.downgrade(alembic(connection), "base")
    assert tables(connection) == ["alembic_version"]
    command.upgrade(alembic(connection), "head")
    assert before == connection.execute(DEFINITIONS).fetchall()


def test_each_migration_goes_down_by_itself(connection: Connection) -> None:
    """One change each: a step back takes away what the step had brought, and no more."""
    left = [tables(connection)]
    while len(left[-1]) > 1:
        command.downgrade(alembic(connection), "-1")
        left.append(tables(connection))
    assert [len(names) for names in left] == list(range(len(left[0]), 0, -1))
