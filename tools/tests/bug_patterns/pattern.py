"""What a pattern is, and what its clients are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

Client = Callable[[Engine], Any]
Work = Callable[[Connection], Any]
RR, SERIALIZABLE = "REPEATABLE READ", "SERIALIZABLE"
LOG = "INSERT INTO log VALUES ('done')"


@dataclass(frozen=True)
class Pattern:
    """Clients that do it wrong, others that do it right, and a question that is true where nothing went wrong.

    Without a question, the outcome must be that of a serial order.
    """

    wrong: Mapping[str, Client]
    right: Mapping[str, Client]
    question: str | None = None
    pool_size: int | None = None  # without overflow
    options: Mapping[str, Any] = field(default_factory=dict)
    rightly: Mapping[str, Any] = field(default_factory=dict)  # options of the right twin


def do(connection: Connection, statement: str, **parameters: Any) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.execute(text(statement), parameters).rowcount


def ask(connection: Connection, query: str, **parameters: Any) -> Any:
    """Return the first value of a query."""
    return connection.execute(text(query), parameters).scalar()


def tx(work: Work, level: str | None = None) -> Client:
    """Return a client that does its work in one transaction."""

    def client(engine: Engine) -> None:
        with engine.connect() as connection:
            if level is not None:
                connection = connection.execution_options(isolation_level=level)
            with connection.begin():
                work(connection)

    return client


def statements(*queries: str, level: str | None = None) -> Client:
    """Return a client that executes statements in one transaction."""
    return tx(lambda connection: [do(connection, query) for query in queries][-1], level)


def auto(statement: str) -> Client:
    """Return a client of one statement that commits by itself."""

    def client(engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            do(connection, statement)

    return client


def retrying(client: Client) -> Client:
    """Return a client that begins anew where the server has undone its transaction."""

    def again(engine: Engine) -> None:
        while True:
            try:
                client(engine)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in ("40001", "40P01"):
                    raise
            else:
                return

    return again


def two(client: Client) -> dict[str, Client]:
    """Return two clients that do the same."""
    return {"ada": client, "bob": client}


def unless(query: str, *queries: str, level: str | None = None, **parameters: Any) -> Client:
    """Return a client that executes statements unless a query finds something."""

    def work(connection: Connection) -> None:
        if not ask(connection, query, **parameters):
            for one in queries:
                do(connection, one)

    return tx(work, level)


def read_then_write(lock: str = "") -> Work:
    """Return work that reads a balance and writes it back plus one."""

    def work(connection: Connection) -> None:
        found = ask(connection, f"SELECT balance FROM accounts WHERE id = 1 {lock}")
        do(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=found + 1)

    return work
