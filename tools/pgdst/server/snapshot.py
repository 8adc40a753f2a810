"""Starting from a cached data directory: initialised, migrated, with the template for clones, and stopped cleanly.

A snapshot is found by its recipe's key, which covers everything but the backend's own files. It is used only while
every file, folder and variable in its manifest is as it was when it was made. It is a labelled image on the Docker
daemon (snapshot_image.py), or a folder in the user's cache for the embedded engine (snapshot_folder.py).

The role in the data directory has a random password, which whoever may read the snapshot knows. So a server that was
started from one gets the run's own password before anything else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pgdst.manifest import Manifest
from pgdst.server.address import Server
from pgdst.server.lifetime import lease
from pgdst.server.password import new_password, set_password
from pgdst.server.spec import Recipe, ServerSpec

KEEP_OF_CHECKOUT = 4
KEEP = 12  # those of checkouts that are gone included


@contextmanager
def maker(spec: ServerSpec) -> Iterator[ServerSpec]:
    """Yield the spec of the server that a snapshot is made of; it lives by the run's lease, else by this process's.

    The process's own lease ends with the block.
    """
    making = replace(spec, recipe=None, makes_snapshot=True)
    if isinstance(spec.lifetime, lease.Lease):
        yield making
        return
    with lease.own() as held:
        yield replace(making, lifetime=held)


def filled(recipe: Recipe, server: Server) -> tuple[Manifest, str]:
    """Fill the server's database; return what was read, and the password that the snapshot's role has been given.

    Raises: MigrationError.
    """
    manifest, password = recipe.fill(server), new_password()
    with server.connect() as connection:
        set_password(connection, server.user, password)
    return manifest, password


def superseded(newest_first: list[tuple[str, str]], checkout: str) -> list[str]:
    """Return the names to be removed of (name, checkout) pairs: all but the last few of this checkout, and of all."""
    own = [name for name, its in newest_first if its == checkout][KEEP_OF_CHECKOUT:]
    return [*own, *(name for name, _ in newest_first[KEEP:] if name not in own)]
