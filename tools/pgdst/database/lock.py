"""Advisory locks with a deadline: one at a time on a server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from pgdst.errors import ServerNotReadyError

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 120


@contextmanager
def advisory_lock(connection: psycopg.Connection, key: int, what: str) -> Iterator[None]:
    """Hold the session's advisory lock `key`; it ends with the block, or with the connection.

    It polls instead of waiting: CREATE INDEX CONCURRENTLY waits for every running statement, so a statement that waits
    for this lock would close a cycle that Postgres does not detect.

    Raises: ServerNotReadyError after two minutes.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise ServerNotReadyError(
                f"Another process has been {what} on this server for {DEADLINE_SECONDS} s. End it, then try again."
            )
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # a lost connection has released it, and is not the failure
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
