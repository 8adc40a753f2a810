"""The database of an exploration: as it was lent at the beginning of each run, with the same sessions."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from pgdst.database.databases import Databases
from pgdst.errors import ConfigurationError, PgdstError

Setup = Callable[[Connection], object]

_FLUSH = text("SELECT pg_stat_force_next_flush()")
_CONTENTS = """
    SELECT (to_jsonb(pgdst_row.*){without})::text FROM ONLY {table} pgdst_row ORDER BY 1
"""
# Where a block of PL/pgSQL catches an error, it gives back the locks that it has taken.
_CATCHES = text(
    "SELECT EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND pronamespace::regnamespace::text NOT LIKE 'pgdst%' "
    "AND prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('internal', 'c', 'sql')) "
    "AND prosrc ~* '\\mexcept')"
)
_TABLES = text(
    "SELECT format('%I.%I', nspname, relname), relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE relkind = 'r' AND relpersistence <> 't' AND c.oid >= 16384 AND nspname NOT LIKE 'pgdst%' ORDER BY 1"
)


class WornError(PgdstError):
    """A run has changed more than rows and sequences, so the database has to be made anew."""


class RewoundDatabase:
    """The database that an engine leads to, which the kit has lent, and a connection of the kit's own to it."""

    def __init__(self, databases: Databases, name: str, setup: Setup | None, place: Callable[[str], int]) -> None:
        self._databases, self._name, self._setup, self._place = databases, name, setup, place
        self._opened = ExitStack()
        self._is_worn = False
        self._begin()

    def _begin(self) -> None:
        """Take the database with what the simulation places in it for what it is rewound to, and connect to it."""
        self._url = self._databases.rebase(self._name, beside=self._place(self._name)).server.url
        self._connect()

    def _connect(self) -> None:
        self._opened.close()
        self._connection = self._opened.enter_context(create_engine(self._url, poolclass=NullPool).connect())

    def has_crashed(self) -> None:
        """Connect again after a crash of the server. It has reset the counters by which a rewind proves anything."""
        self._is_worn = True
        self._connect()

    def prepare(self) -> None:
        """Make the database anew where it cannot be rewound. Nobody else is connected to it."""
        if self._is_worn:
            self._opened.close()
            self._databases.renew(self._name)
            self._begin()
            self._is_worn = False

    def rewind(self, sessions: int) -> None:
        """Bring it back to what was lent, beside so many idle sessions, and set it up.

        Raises: WornError, if it has to be made anew by `prepare` first.
        """
        clone = self._databases.lent(self._name)
        assert clone is not None
        with self._connection.begin():
            self._connection.execute(_FLUSH)
        if different := clone.rewind(beside=sessions + 1):
            self._is_worn = True
            raise WornError(
                f"The database cannot be rewound, as these are not as they were: {', '.join(different)}. "
                "If no client or `setup` changes them, somebody else does."
            )
        if self._setup is not None:
            with self._connection.begin():
                self._setup(self._connection)

    def ask(self, question: Callable[[Connection], Any]) -> Any:
        """Return what a function of the kit's connection returns."""
        with self._connection.begin():
            return question(self._connection)

    def hides_locks(self) -> bool:
        """Return whether a function may lock something and release it before its statement ends."""
        return bool(self.ask(lambda connection: connection.scalar(_CATCHES)))

    def contents(self, ignored: frozenset[str]) -> str:
        """Return all rows of all tables as text; `ignored` are columns, as `table.column`, that are left out."""
        return str(self.ask(lambda connection: _contents(connection, ignored)))

    def close(self) -> None:
        """Close the kit's connection."""
        self._opened.close()

    def restore(self) -> None:
        """Make the database as it was lent, without what the simulation has placed in it; everybody else has left."""
        self._databases.renew(self._name)


def _contents(connection: Connection, ignored: frozenset[str]) -> str:
    lines = []
    tables = connection.execute(_TABLES).all()
    known = {name for _quoted, name in tables}
    if unknown := sorted(one for one in ignored if one.partition(".")[0] not in known):
        raise ConfigurationError(
            f"ignored_columns has {', '.join(unknown)}, and no table is called so. Write table.column, without the "
            f"schema; the rows of a partitioned table are its partitions'. There are {', '.join(sorted(known))}."
        )
    for quoted, table in tables:
        columns = sorted(one.partition(".")[2] for one in ignored if one.partition(".")[0] == table)
        without = "".join(f" - {_literal(column)}" for column in columns)
        rows = connection.scalars(text(_CONTENTS.format(without=without, table=quoted).replace(":", r"\:")))
        lines += [f"{table} {row}" for row in rows]
    return "\n".join(lines)


def _literal(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"
