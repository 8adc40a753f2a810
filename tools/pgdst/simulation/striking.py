"""How a fault is done to a client's connection, while the client has the turn."""

import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from psycopg.errors import lookup
from psycopg.pq import ConnStatus, DiagnosticField, TransactionStatus

from pgdst.errors import InconclusiveError
from pgdst.server import full_disk
from pgdst.simulation.faults import RAISED, Fault

_ANSWER_SECONDS = 10.0
_CHUNK = 65536
ABORTED = "25P02"  # what is said of everything in a transaction that an error has aborted before


def stop_sending(connection: Any) -> None:
    """Let the server's side see the end of the connection: its session ends."""
    with _socket(connection) as duplicate:
        duplicate.shutdown(socket.SHUT_WR)


def wait_for_answer(connection: Any) -> None:
    """Return when the server has answered, and nobody has seen what."""
    readable, _, _ = select.select([connection.pgconn.socket], [], [], _ANSWER_SECONDS)
    if not readable:
        raise InconclusiveError("COMMIT was not answered, so it cannot be lost after it was done.")


def bury(connection: Any, *, unheard: bool) -> None:
    """Bring a connection whose session has ended to a state that no longer changes by itself.

    All that the server said last has arrived then, with the end of it; or is dropped where it is `unheard`, as when
    the connection itself broke. Nothing more can be sent.

    Raises: InconclusiveError, where its end does not arrive.
    """
    if connection.pgconn.status != ConnStatus.OK:
        return  # libpq has noticed before, and closed it
    with _socket(connection) as duplicate:
        duplicate.settimeout(_ANSWER_SECONDS)
        if unheard:
            _drop(duplicate)
        elif not _has_ended(duplicate):
            raise InconclusiveError("The server ended a session, but the end of its connection did not arrive.")
        duplicate.shutdown(socket.SHUT_WR)


def _drop(stream: socket.socket) -> None:
    """Read all that the other side has said, and its end, and forget it. Raises: InconclusiveError."""
    try:
        while stream.recv(_CHUNK):
            pass
    except TimeoutError:
        raise InconclusiveError("The server ended a session, but the end of its connection did not arrive.") from None


if sys.platform == "darwin":

    def _has_ended(stream: socket.socket) -> bool:
        """Return whether the other side's end arrives in time, whatever is still unread before it."""
        change = select.kevent(stream, select.KQ_FILTER_READ, select.KQ_EV_ADD | select.KQ_EV_CLEAR)
        deadline = time.monotonic() + _ANSWER_SECONDS
        with closing(select.kqueue()) as queue:
            while (patience := deadline - time.monotonic()) > 0:
                if any(one.flags & select.KQ_EV_EOF for one in queue.control([change], 1, patience)):
                    return True
        return False

else:

    def _has_ended(stream: socket.socket) -> bool:
        """Return whether the other side's end arrives in time, whatever is still unread before it."""
        poll = select.poll()
        poll.register(stream, select.POLLRDHUP)
        return bool(poll.poll(_ANSWER_SECONDS * 1000))


@contextmanager
def _socket(connection: Any) -> Iterator[socket.socket]:
    """Yield a connection's socket, whose errors are let be: it may be broken already."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate, suppress(OSError):
        yield duplicate


def statement_that_raises(fault: Fault, full: str) -> str:
    """Return a statement at which the server raises the fault's SQLSTATE; `full` is a file that has no room."""
    if fault is Fault.DISK_FULL:
        return full_disk.write_to(full)
    return f"DO $$ BEGIN RAISE 'pgdst: {fault}' USING ERRCODE = '{RAISED[fault]}'; END $$"


def raise_in_transaction(connection: Any, fault: Fault, statement: str, *, at_commit: bool) -> psycopg.Error:
    """Let the server raise the fault's SQLSTATE in the client's transaction, and return the error.

    The transaction is aborted as by any error; an error at COMMIT has also ended it.

    Raises: InconclusiveError, where the server raises something else.
    """
    pgconn = connection.pgconn
    if not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        pgconn.exec_(b"BEGIN")
    result = pgconn.exec_(statement.encode())
    if at_commit:
        pgconn.exec_(b"ROLLBACK")
    state, said = RAISED[fault], result.get_error_message()
    if (result.error_field(DiagnosticField.SQLSTATE) or b"").decode() not in (state, ABORTED):
        raise InconclusiveError(
            f"The server was to raise {state} for the fault {fault}, but said: {said.strip() or 'that all is well'}. "
            "Let the engine log in as the kit's own user, and start the server anew if another version of the kit has."
        )
    return lookup(state)(said, info=result)
