"""Print the URL of the run's database, or of this checkout's that `db-up` started."""

import click

from pgdst import project
from pgdst.cli import engine_options, script, target
from pgdst.server.engines import make_engine


@script
@engine_options
def main(engine: str, image: str, offline_image: str) -> None:
    """Print the SQLAlchemy URL of the database, with its password, alone on stdout.

    Example: DATABASE_URL=$({db-url}) uvicorn app:main
    """
    click.echo(target(project.load(), lambda: make_engine(engine, image, offline_image)).url)
