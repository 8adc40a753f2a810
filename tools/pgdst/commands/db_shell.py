"""Open psql in the container (or the embedded server) of the run's or this checkout's database."""

import sys

import click

from pgdst import project
from pgdst.cli import engine_options, script, target
from pgdst.server.engines import make_engine


@script
@engine_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(engine: str, image: str, offline_image: str, arguments: tuple[str, ...]) -> None:
    r"""Open psql; ARGUMENTS after `--` go to psql.

    Example: {db-shell} -- -c '\dt'
    """
    chosen = make_engine(engine, image, offline_image)
    server = target(project.load(), lambda: chosen)
    sys.exit(chosen.shell(server, list(arguments)))
