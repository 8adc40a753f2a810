"""How a fault is done to a client's connection, while the client has the turn."""

import os
import select
import socket
from contextlib import AbstractContextManager, suppress
from typing import Any

import psycopg
from psycopg.errors import lookup
from psycopg.pq import TransactionStatus

from pgdst.errors import InconclusiveError
from pgdst.simulation.faults import RAISED, Fault

_ANSWER_SECONDS = 10.0
_CHUNK = 65536


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


def raise_in_transaction(connection: Any, fault: Fault, *, at_commit: bool) -> psycopg.Error:
    """Let the server raise the fault's SQLSTATE in the client's transaction, and return the error.

    The transaction is aborted as by any error; an error at COMMIT has also ended it.
    """
    pgconn = connection.pgconn
    if not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        pgconn.exec_(b"BEGIN")
    state = RAISED[fault]
    result = pgconn.exec_(f"DO $$ BEGIN RAISE 'pgdst: {fault}' USING ERRCODE = '{state}'; END $$".encode())
    if at_commit:
        pgconn.exec_(b"ROLLBACK")
    return lookup(state)(result.get_error_message(), info=result)
