"""Bring the run's or this checkout's database to head, and compare it with the models."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

import click

from pgdst import project
from pgdst.cli import engine_options, project_options, say, script, target
from pgdst.server.address import Server
from pgdst.server.engines import make_engine


@script
@engine_options
@project_options
@click.option("--manifest", type=click.Path(path_type=Path), help="Write the manifest of the migrations to this file.")
def main(
    engine: str,
    image: str,
    offline_image: str,
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    manifest: Path | None,
) -> None:
    """Apply the Alembic migrations up to head, and check that the models match the database.

    Example: {with-postgres} -- {migrate}
    """
    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    server = target(found, lambda: make_engine(engine, image, offline_image))
    if manifest:
        from pgdst.database.snapshot.recorder import recorded_upgrade

        manifest.write_text(recorded_upgrade(found, server).to_json(), encoding="utf-8")
        return
    say(f"The database of {found.backend} is at revision {_upgraded(found, server)}, and the models agree.")


def _upgraded(found: project.Project, server: Server) -> str:
    """Bring the server's database to the head revision, and return that.

    The migrations' output goes to standard error when they have ended: standard output is for data, and a process that
    they leave running must not keep either open for its readers.
    """
    from pgdst.database.migrations import upgrade

    with _output_held():
        return upgrade(found, server)


@contextmanager
def _output_held() -> Iterator[None]:
    """Collect the output of this process and its children, and write it to standard error at the end."""
    with TemporaryFile() as kept:
        _flush()
        before = {descriptor: _replaced(descriptor, kept.fileno()) for descriptor in (1, 2)}
        try:
            yield
        finally:
            try:
                _flush()
            finally:
                for descriptor, own in before.items():
                    os.dup2(own, descriptor)
                    os.close(own)
            kept.seek(0)
            with suppress(OSError), os.fdopen(os.dup(2), "wb") as said:  # it may be closed, or nobody reads it
                shutil.copyfileobj(kept, said)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is where the descriptor was closed
            stream.flush()


def _replaced(descriptor: int, by: int) -> int:
    """Redirect a descriptor; return a copy of the old one, or of /dev/null where it was closed."""
    try:
        own = os.dup(descriptor)
    except OSError:
        own = os.open(os.devnull, os.O_RDWR)
    os.dup2(by, descriptor)
    return own
