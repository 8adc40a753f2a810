"""How a fault is done to a client's connection, while the client has the turn."""

import os
import select
import socket
from contextlib import AbstractContextManager, suppress
from typing import Any

import psycopg
from psycopg.errors import lookup
from psycopg.pq import ConnStatus, DiagnosticField, TransactionStatus

from pgdst.errors import InconclusiveError
from pgdst.server import full_disk
from pgdst.simulation.faults import RAISED, Fault

_ANSWER_SECONDS = 10.0
_CHUNK = 65536
_ABORTED = "25P02"  # what is said of everything in a transaction that an error has aborted before


def cut(connection: Any) -> None:
    """Let the connection break as a network's does: neither side gets anything more."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate, _broken_already():
        duplicate.shutdown(socket.SHUT_RDWR)


def wait_for_answer_and_drop_it(connection: Any) -> None:
    """Return when the server has answered, and nobody will see what."""
    descriptor = connection.pgconn.socket
    readable, _, _ = select.select([descriptor], [], [], _ANSWER_SECONDS)
    if not readable:
        raise InconclusiveError("COMMIT was not answered, so it cannot be lost after it was done.")
    with socket.socket(fileno=os.dup(descriptor)) as duplicate, _broken_already():
        duplicate.recv(_CHUNK)  # one answer, which the server sends at once


def _broken_already() -> AbstractContextManager[None]:
    """Let it be, for this block: a crash may have ended the session before, and its client has not noticed."""
    return suppress(OSError)


def statement_that_raises(fault: Fault, full: str) -> str:
    """Return a statement at which the server raises the fault's SQLSTATE; `full` is a file that has no room."""
    if fault is Fault.DISK_FULL:
        return full_disk.write_to(full)
    return f"DO $$ BEGIN RAISE 'pgdst: {fault}' USING ERRCODE = '{RAISED[fault]}'; END $$"


def raise_in_transaction(connection: Any, fault: Fault, statement: str, *, at_commit: bool) -> psycopg.Error:
    """Let the server raise the fault's SQLSTATE in the client's transaction, and return the error.

    The transaction is aborted as by any error; an error at COMMIT has also ended it. Where a crash has ended the
    session, which its client has not noticed, the error is that of the connection.

    Raises: InconclusiveError, where the server raises something else.
    """
    pgconn = connection.pgconn
    if not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        pgconn.exec_(b"BEGIN")
    result = pgconn.exec_(statement.encode())
    if at_commit:
        pgconn.exec_(b"ROLLBACK")
    state, said = RAISED[fault], result.get_error_message()
    if pgconn.status != ConnStatus.OK:
        return psycopg.OperationalError(said)
    if (result.error_field(DiagnosticField.SQLSTATE) or b"").decode() not in (state, _ABORTED):
        raise InconclusiveError(
            f"The server was to raise {state} for the fault {fault}, but said: {said.strip() or 'that all is well'}. "
            "Let the engine log in as the kit's own user, and start the server anew if another version of the kit has."
        )
    return lookup(state)(said, info=result)
