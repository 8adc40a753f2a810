"""A full disk on demand: SQL that makes the server write to a file that has no room."""

from pgdst.server.address import Server
from pgdst.server.engines import engine_of

# More than the page that a full disk of Docker's has: 64 KiB at most.
TOO_MANY_BYTES = 2**17


def file_of(server: Server) -> str:
    """Return the path of the file, as the server knows it: it can be opened, and no write to it succeeds."""
    return engine_of(server).full_file


def write_to(file: str) -> str:
    """Return SQL that makes the server write the file. The write fails with ENOSPC, which Postgres reports as 53100.

    It reads no table and leaves nothing behind but a file that is full, so it fails in each transaction alike, in a
    read-only one too. Only a superuser may write a file, so the session's role is reset, until the transaction is
    rolled back.
    """
    return f"SET LOCAL ROLE NONE; COPY (SELECT repeat(' ', {TOO_MANY_BYTES})) TO '{file}'"
