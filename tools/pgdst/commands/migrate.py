"""Bring the run's or this checkout's database to head, and compare it with the models."""

from pathlib import Path

import click

from pgdst import project
from pgdst.cli import engine_options, project_options, say, script, target, upgraded
from pgdst.server.engines import make_engine


@script
@engine_options
@project_options
@click.option("--manifest", type=click.Path(path_type=Path), help="Write down what the migrations have read.")
def main(
    engine: str,
    image: str,
    offline_image: str,
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    manifest: Path | None,
) -> None:
    """Apply the Alembic migrations up to head and check that the models differ in nothing from the database.

    Example: {with-postgres} -- {migrate}
    """
    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    server = target(found, lambda: make_engine(engine, image, offline_image))
    if manifest:
        from pgdst.database.snapshot.recorder import recorded_upgrade

        manifest.write_text(recorded_upgrade(found, server).to_json(), encoding="utf-8")
        return
    say(f"The database of {found.backend} is at revision {upgraded(found, server)}, and the models agree.")
