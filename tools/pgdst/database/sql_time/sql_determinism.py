"""Installing functions by which SQL's own time and random values follow a simulation (sql_determinism.sql)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from pgdst.errors import ConfigurationError
from pgdst.manifest import digest

SCHEMA = "pgdst"
SQL = Path(__file__).with_suffix(".sql")
INSTALLED = "SELECT obj_description(to_regprocedure('pgdst.let_go()'), 'pg_proc')"
# While a new database is migrated: rows that a migration seeds are the same in every one. Not earlier than any clock of
# a simulation starts, and not later.
MIGRATED = "SELECT pgdst.set_clock('2026-01-01 00:00:00+00'), pgdst.set_seed(0)"


def is_installed(connection: psycopg.Connection) -> bool:
    """Tell whether the database's time and random values can be set."""
    return _version(connection) is not None


def install(connection: psycopg.Connection) -> bool:
    """Install this version in the database of an autocommit connection; return whether it was not there before.

    Raises: ConfigurationError where new tables would be made in the kit's schema from then on.
    """
    text = SQL.read_bytes()
    version = digest(text)
    if _version(connection) == version:
        return False
    with connection.transaction():
        connection.execute(text)
        connection.execute(f"COMMENT ON FUNCTION pgdst.let_go() IS '{version}'".encode())
        _require_another_current_schema(connection)
    return True


@contextmanager
def fixed(connection: psycopg.Connection) -> Iterator[None]:
    """Let time stand still during the block, and random values be the same each time."""
    connection.execute(MIGRATED)
    try:
        yield
    finally:
        connection.execute("SELECT pgdst.let_go()")


def _version(connection: psycopg.Connection) -> str | None:
    row = connection.execute(INSTALLED).fetchone()
    return row[0] if row else None


def _require_another_current_schema(connection: psycopg.Connection) -> None:
    row = connection.execute("SELECT current_schema(), current_setting('search_path')").fetchone()
    if row and row[0] == SCHEMA:
        raise ConfigurationError(
            f"search_path is {row[1]}, by which the application's tables would be made in the schema {SCHEMA} of the "
            'kit, as its user has the same name. Leave "$user" out of it.'
        )
