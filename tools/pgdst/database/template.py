"""A clean database for every test or example: clones of a migrated template."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from pgdst.database.lock import advisory_lock
from pgdst.errors import ServerNotReadyError
from pgdst.server.address import Server, require_ours

OTHERS_LEAVE_SECONDS = 15  # Postgres itself waits for five before it refuses
LOCK = 0x7067647374  # "pgdst": one advisory lock, so that several workers make the template once


class Template:
    """A copy of a server's migrated database that nobody connects to, so that it can be cloned at any time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"{server.database}_template"
        self.numbers = itertools.count(1)
        self.connection = server.with_database("postgres").connect()
        require_ours(self.connection, server.run_id)
        self._make()

    def close(self) -> None:
        """Close the template's own connection; the template goes with its server."""
        self.connection.close()

    @contextmanager
    def clone(self) -> Iterator[str]:
        """Yield the SQLAlchemy URL of a new database with the template's contents; it is dropped at the end.

        Connections to it that are still open then are ended.
        """
        name = f"{self.server.database}_{os.getpid()}_{next(self.numbers)}"
        self._create(name, self.name)
        try:
            yield self.server.with_database(name).url
        finally:
            self.connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def _make(self) -> None:
        with advisory_lock(self.connection, LOCK, "making the template"):
            if not self._is_complete():
                self.connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(self.name)))
                self._create(self.name, self.server.database)
                self.connection.execute(
                    SQL("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false").format(Identifier(self.name))
                )

    def _is_complete(self) -> bool:
        """Tell whether somebody has finished the template: it is marked as one only then."""
        query = SQL("SELECT true FROM pg_database WHERE datname = {} AND datistemplate").format(Literal(self.name))
        return self.connection.execute(query).fetchone() is not None

    def _create(self, name: str, source: str) -> None:
        statement = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            Identifier(name), Identifier(source)
        )
        deadline = time.monotonic() + OTHERS_LEAVE_SECONDS
        while True:
            try:
                self.connection.execute(statement)
                return
            except psycopg.errors.ObjectInUse as error:
                # Another worker of this run may still be comparing it with the models.
                if time.monotonic() > deadline:
                    raise ServerNotReadyError(_in_use(source, error)) from error


def forget_template(connection: psycopg.Connection, server: Server) -> None:
    """Drop the template of the server's database, if there is one: the next who needs one makes it anew."""
    name = f"{server.database}_template"
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        connection.execute(SQL("ALTER DATABASE {} IS_TEMPLATE false").format(Identifier(name)))
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


def _in_use(source: str, error: psycopg.Error) -> str:
    return (
        f"The database {source} cannot be copied while somebody is connected to it: {error}. "
        "Close that connection: an env.py with a pooled engine keeps one, and wants poolclass=NullPool."
    )
