"""Starting from a cached data directory: initialised, migrated, with the template for clones, and stopped cleanly.

A snapshot is found by its recipe's key, which covers everything but the backend's own files, and is used only while
every file, folder and variable in its manifest is as it was when it was made. It is a labelled image on the Docker
daemon (snapshot_image.py), or a folder in the user's cache for the embedded engine (snapshot_folder.py).

The data directory holds a role whose password is random and known to whoever may read the snapshot. So the first thing
that happens to a server that was started from one is that it gets the run's own password.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgdst.manifest import Manifest
from pgdst.server.address import Server

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x70617373776F7264  # "password"
KEEP_OF_CHECKOUT = 4
KEEP = 12  # those of checkouts that are gone included


@dataclass(frozen=True)
class Recipe:
    """How a snapshot is made. `fill` migrates the server it is given, makes the template and returns what was read."""

    key: str
    fill: Callable[[Server], Manifest]

    def key_on(self, base: str) -> str:
        """Return the key together with what the data directory was initialised by: an image's name, or the wheel."""
        from pgdst.manifest import digest

        return digest(f"{self.key} {base}".encode())


def set_password(connection: "psycopg.Connection", user: str, password: str) -> None:
    """Give the role a new password; only its SCRAM verifier goes over the wire and may get into the server's log.

    All who find a server that has just been started do so, one after another: Postgres refuses two at once.
    """
    verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        connection.execute(f"""ALTER ROLE "{user}" PASSWORD '{verifier}'""")


def superseded(newest_first: list[tuple[str, str]], checkout: str) -> list[str]:
    """Return the names to be removed of (name, checkout) pairs: all but the last few of this checkout, and of all."""
    own = [name for name, its in newest_first if its == checkout][KEEP_OF_CHECKOUT:]
    return [*own, *(name for name, _ in newest_first[KEEP:] if name not in own)]
