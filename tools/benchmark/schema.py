"""Twenty tables, each with a foreign key to the one before, an index and a sequence, and rows in two of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Column, ForeignKey, Identity, Integer, MetaData, Table, Text, create_engine, text

NUMBER_OF_TABLES: Final = 20
WRITTEN_TABLES: Final = 6  # a test rarely writes into all
METADATA: Final = MetaData()
TABLES: Final = tuple(f"t{number}" for number in range(1, NUMBER_OF_TABLES + 1))
SEED: Final[LiteralString] = (
    "INSERT INTO t1 (name) VALUES ('seed one'), ('seed two'); INSERT INTO t2 (name, parent) VALUES ('seed three', 1)"
)
WRITE: Final[LiteralString] = "INSERT INTO {} (name) SELECT 'row ' || n FROM generate_series(1, 5) n"

for number, name in enumerate(TABLES, start=1):
    Table(
        name,
        METADATA,
        Column("id", Integer, Identity(), primary_key=True),
        Column("name", Text, nullable=False, index=True),
        *([Column("parent", Integer, ForeignKey(f"t{number - 1}.id"))] if number > 1 else []),
    )


@contextmanager
def made_database(server_url: str, name: str) -> Iterator[str]:
    """Lend a database with the schema and the seeded rows on a server; yield its libpq URL."""
    libpq_url = server_url.replace("+psycopg", "")
    url = f"{libpq_url.rpartition('/')[0]}/{name}"
    with psycopg.connect(libpq_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            fill(url)
            yield url
        finally:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def fill(url: str) -> None:
    """Make the schema and the seeded rows in an empty database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(text(SEED))
    engine.dispose()


@contextmanager
def copied_database(url: str, name: str) -> Iterator[None]:
    """Keep a copy of a database under another name."""
    there = f"{url.rpartition('/')[0]}/postgres"
    source = url.rpartition("/")[2]
    with psycopg.connect(there, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(source)))
        try:
            yield
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def make_dirty(url: str) -> None:
    """Write what a test may write, over a connection that ends with it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in TABLES[:WRITTEN_TABLES]:
            connection.execute(SQL(WRITE).format(Identifier(name)))


def check_clean(url: str) -> None:
    """Raise AssertionError where the seeded rows and the next id are not as at first: speed alone is easy."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in TABLES:
            expected = {"t1": [(1, "seed one"), (2, "seed two")], "t2": [(1, "seed three")]}.get(name, [])
            found = connection.execute(SQL("SELECT id, name FROM {} ORDER BY id").format(Identifier(name))).fetchall()
            assert found == expected, f"{name}: expected {expected}, found {found}"
            called = connection.execute("SELECT pg_sequence_last_value(%s)", (f"{name}_id_seq",)).fetchone()
            last = len(expected) or None
            assert called == (last,), f"{name}: expected the last id {last}, found {called}"
