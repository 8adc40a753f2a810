"""The migrated template, and clones of it."""

import time
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from pgdst.database.lock import advisory_lock
from pgdst.errors import ServerNotReadyError
from pgdst.server.address import Server, require_ours

OTHERS_LEAVE_SECONDS = 15  # Postgres itself waits for five before it refuses
LOCK = 0x7067647374  # "pgdst": one advisory lock, so that several workers make the template once


@dataclass(frozen=True)
class Template:
    """A copy of a server's migrated database that refuses connections, so that it can be cloned at any time.

    `connection` is to the server's maintenance database, and the caller's: one thread at a time.
    """

    server: Server
    connection: psycopg.Connection

    @property
    def name(self) -> str:
        """The name of its database."""
        return f"{self.server.database}_template"

    def make(self) -> None:
        """Make it, unless another worker has.

        Raises: ForeignServerError before anything is changed; ServerNotReadyError while the database is in use.
        """
        require_ours(self.connection, self.server.run_id)
        with advisory_lock(self.connection, LOCK, "making the template"):
            if not self._is_complete():
                self._execute("DROP DATABASE IF EXISTS {}", self.name)
                self._create(self.name, self.server.database)
                self._execute("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false", self.name)

    def clone(self, name: str) -> None:
        """Make the database `name` with the template's contents."""
        self._create(name, self.name)

    def drop(self, name: str) -> None:
        """Drop a clone and end connections to it; one that is gone already is no error."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _is_complete(self) -> bool:
        """Tell whether somebody has finished the template: it is marked as one only then."""
        query = SQL("SELECT true FROM pg_database WHERE datname = {} AND datistemplate").format(Literal(self.name))
        return self.connection.execute(query).fetchone() is not None

    def _create(self, name: str, source: str) -> None:
        deadline = time.monotonic() + OTHERS_LEAVE_SECONDS
        while True:
            try:
                self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, source)
                return
            except psycopg.errors.ObjectInUse as error:
                # Another worker of this run may still be comparing it with the models.
                if time.monotonic() > deadline:
                    raise ServerNotReadyError(_in_use(source, error)) from error

    def _execute(self, statement: LiteralString, *databases: str) -> None:
        self.connection.execute(SQL(statement).format(*map(Identifier, databases)))


def forget_template(connection: psycopg.Connection, server: Server) -> None:
    """Drop the template of the server's database, if there is one; it is made again when it is needed."""
    name = f"{server.database}_template"
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        connection.execute(SQL("ALTER DATABASE {} IS_TEMPLATE false").format(Identifier(name)))
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


def _in_use(source: str, error: psycopg.Error) -> str:
    return (
        f"The database {source} cannot be copied while somebody is connected to it: {error}. "
        "Close that connection: an env.py with a pooled engine keeps one, and wants poolclass=NullPool."
    )
