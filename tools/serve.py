#!/usr/bin/env python3
"""Serve Deep Sci-Fi on this machine's loopback, from the run's database or this checkout's that `db_up.py` started.

Exit status: uvicorn's, which becomes this process; 1 where no database is up; 2 wrong usage.
Example: .venv/bin/python tools/serve.py --port 8080
"""

import os
import sys

import click
from pgdst import project
from pgdst.cli import engine_options, script, target
from pgdst.server.engines import make_engine

APPLICATION = "deepsci.main:app_from_environment"


@script
@engine_options
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    envvar="PGDST_PORT",
    help="The port on 127.0.0.1.",
)
def main(engine: str, image: str, offline_image: str, port: int) -> None:
    """Run uvicorn with the backend, until it is interrupted.

    Example: serve.py --port 8080
    """
    found = project.load()
    url = target(found, lambda: make_engine(engine, image, offline_image)).url
    os.chdir(found.backend)
    command = [sys.executable, "-m", "uvicorn", "--factory", APPLICATION, "--host", "127.0.0.1", "--port", str(port)]
    os.execve(sys.executable, command, {**os.environ, "DATABASE_URL": url})  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
