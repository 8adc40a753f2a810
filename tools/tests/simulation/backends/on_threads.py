"""A realistic backend: a thread for each request, SQLAlchemy's engine on psycopg2."""

import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

size = os.environ.get("POOL", "5")
pool: dict[str, Any] = {"poolclass": NullPool} if size == "none" else {"pool_size": int(size), "max_overflow": 0}
engine = create_engine(os.environ["DATABASE_URL"], **pool)
asked_by: ContextVar[str] = ContextVar("asked_by", default="")


def deposit(account: str) -> int:
    with engine.begin() as connection:
        query = text("SELECT balance FROM accounts WHERE id = :id")
        balance = int(connection.execute(query, {"id": account}).scalar_one())
        change = text("UPDATE accounts SET balance = :new WHERE id = :id")
        connection.execute(change, {"id": account, "new": balance + 1})
        return balance + 1


def deposit_later(account: str) -> str:
    """Answer, and deposit afterwards in a thread without the request's context."""
    threading.Thread(target=deposit, args=(account,)).start()
    return "soon"


def deposit_in_secret(account: str) -> int:
    """Deposit twice, and name the client in the second statement only."""
    found = asked_by.get()
    asked_by.set("")
    deposit(str(int(account) + 1))
    asked_by.set(found)
    return deposit(account)


def end(_account: str) -> None:
    """End the process in the middle of a request."""
    os._exit(7)


def transfer(one: str, other: str) -> str | None:
    move = text("UPDATE accounts SET balance = balance + :change WHERE id = :id")
    with engine.begin() as connection:
        connection.execute(move, {"id": one, "change": -1})
        connection.execute(move, {"id": other, "change": 1})
    return None


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def say_for_whom(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    found = asked_by.get()
    return (f"{statement} /*traceparent='{found}'*/" if found else statement), parameters


MOVES: dict[str, Callable[..., Any]] = {
    move.__name__: move for move in (deposit, deposit_later, deposit_in_secret, end, transfer)
}


class Handler(BaseHTTPRequestHandler):
    """Handles requests, each in a thread of its own."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, to show that the backend runs."""
        self.answer(200, "here")

    def do_POST(self) -> None:
        """Handle a request."""
        asked_by.set(self.headers.get("traceparent", ""))
        _, move, *arguments = self.path.split("/")
        try:
            self.answer(200, str(MOVES[move](*arguments)))
        except DBAPIError as error:
            self.answer(409, str(getattr(error.orig, "pgcode", None)))

    def answer(self, status: int, said: str) -> None:
        """Answer a request."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_arguments: Any) -> None:
        """Write no log."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
