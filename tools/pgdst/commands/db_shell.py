"""Open psql at the run's or this checkout's database: the wheel's psql, wherever the server runs."""

import os
import signal

import click

from pgdst import project
from pgdst.cli import engine_options, script, target
from pgdst.server.embedded import wheel
from pgdst.server.engines import make_engine


@script
@engine_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(engine: str, image: str, offline_image: str, arguments: tuple[str, ...]) -> None:
    r"""Open psql; ARGUMENTS after `--` go to psql.

    Example: {db-shell} -- -c '\dt'
    """
    server = target(project.load(), lambda: make_engine(engine, image, offline_image))
    psql = str(wheel.program("psql"))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores, and what it executes would too
    with server.as_environment():
        os.execv(psql, [psql, *arguments])  # noqa: S606  # in this process's place: Ctrl-C is psql's alone to answer
