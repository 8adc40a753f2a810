"""Check whether this machine can run the kit: one line a check, `ok` or `problem` with what to do."""

import sys

import click

from pgdst.cli import engine_options, script
from pgdst.doctor import examine


@script
@engine_options
def main(engine: str, image: str, offline_image: str) -> None:
    """Check Python, Docker, the image, the disk, the embedded engine and leftovers of dead runs.

    Example: {doctor} --image postgres:16
    """
    problems = 0
    for finding in examine(engine, image, offline_image):
        problems += finding.is_problem
        click.echo(finding.line())
    sys.exit(1 if problems else 0)
