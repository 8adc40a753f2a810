"""A file that the server may open and can never write, as the disk that it is on has no room."""

from pgdst.server.address import Server

# A tmpfs of the container's own, of one page. Not the one that the data is on: to fill that takes as much memory as it
# has room, and a server that finds none for its log (PANIC) takes all sessions down.
MOUNT = "/pgdst-full"
OPTIONS = "rw,size=4k,mode=1777"
# A page has 64 KiB at most.
TOO_MANY_BYTES = 2**17
# The embedded engine is an ordinary process, which can't mount anything: Linux's device without room.
DEVICE = "/dev/full"


def file_of(server: Server) -> str:
    """Return the path of the file, as the server knows it: it can be opened, and no write to it succeeds."""
    return DEVICE if server.engine == "embedded" else f"{MOUNT}/file"


def write_to(file: str) -> str:
    """Return SQL that lets the server write the file, and so run out of room: ENOSPC, which it tells as 53100.

    It reads no table and leaves nothing behind but a file that is full, so that it fails in each transaction the same,
    in one that may only read, too. Only a superuser may have a file written; the role that the session has taken on is
    put off for it, until the transaction is rolled back.
    """
    return f"SET LOCAL ROLE NONE; COPY (SELECT repeat(' ', {TOO_MANY_BYTES})) TO '{file}'"
