"""List the places in the schema whose value comes from the machine's clock or from chance, past a simulation."""

import sys

import click

from pgdst import project
from pgdst.cli import engine_options, say, script, target
from pgdst.server.engines import make_engine


@script
@engine_options
def main(engine: str, image: str, offline_image: str) -> None:
    """Look through the defaults, constraints, views, functions, triggers and policies of the run's database.

    Example: {with-postgres} -- {check-schema}
    """
    from pgdst.database.sql_time.escapes import escapes

    server = target(project.load(), lambda: make_engine(engine, image, offline_image))
    with server.connect() as connection:
        found = escapes(connection)
    for escape in found:
        click.echo(escape.line())
    say(f"{len(found)} escape a simulation." if found else "Nothing in the schema escapes a simulation.")
    sys.exit(1 if found else 0)
