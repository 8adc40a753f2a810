"""One at a time on a server: advisory locks with a deadline."""

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

    Asked for again and again instead of waited for: CREATE INDEX CONCURRENTLY waits for every statement that is under
    way, and one that waits for this lock would make a cycle that Postgres does not see.

    Raises: ServerNotReadyError after two minutes.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise ServerNotReadyError(f"Somebody else has been {what} on this server for {DEADLINE_SECONDS} s.")
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # a connection that is lost has let go of it, and is not the failure
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
