#!/usr/bin/env python3
"""Open psql in the container (or the embedded server) of the run's or this checkout's database.

Exit status: psql's; 1 where no database is up; 2 wrong usage.
Example: echo 'SELECT 1' | .venv/bin/python tools/db_shell.py -- --tuples-only
"""

import sys

import click
from pgdst import project
from pgdst.cli import engine_options, make_engine, script, target


@script
@engine_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(engine: str, image: str, offline_image: str, arguments: tuple[str, ...]) -> None:
    r"""Open psql; ARGUMENTS after `--` go to psql.

    Example: db_shell.py -- -c '\dt'
    """
    chosen = make_engine(engine, image, offline_image)
    server = target(project.load(), lambda: chosen)
    sys.exit(chosen.shell(server, list(arguments)))


if __name__ == "__main__":
    main()
