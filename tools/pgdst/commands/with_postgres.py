"""Run a command with a throw-away, migrated Postgres 16, which is removed when the command has ended."""

import os
import sys
from typing import Any

import click

from pgdst.cli import Script
from pgdst.installation import WITH_POSTGRES


class _Passing(Script):
    """A command that passes all its arguments on, including the first `--`; only --help before that is its own."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Take --help, or else all arguments. Raises: click.UsageError without a command to run."""
        own = args[: args.index("--")] if "--" in args else args
        if {"-h", "--help"} & set(own):
            return super().parse_args(context, ["--help"])
        if len(args) - len(own) < 2:
            raise click.UsageError("There is no command to run. Name it after --", context)
        context.params["arguments"] = args
        return []


@click.command(
    cls=_Passing,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="[OPTIONS OF db-up]",
    add_help_option=True,
)
@click.argument("arguments", nargs=-1, metavar="-- COMMAND [ARGUMENT]...")
def main(arguments: Any) -> None:
    """Start a throw-away Postgres 16, migrate it, run COMMAND, and remove it, however COMMAND ends.

    The command finds it in PGDST_DATABASE_URL and DATABASE_URL (SQLAlchemy URLs) and in libpq's PG* variables. The
    exit status is the command's; 1 if the server or the migrations failed, or if something could not be removed.

    Example: {with-postgres} --engine embedded -- python -m pytest
    """
    python = os.environ.get("PGDST_PYTHON") or sys.executable
    environment = {**os.environ, "PGDST_PYTHON": python}
    # The only script that is started by its path. It has to be a shell's: COMMAND inherits the lease from it, it heeds
    # signals at once, and it needs no virtual environment, which may be removed meanwhile.
    os.execvpe("bash", ["bash", str(WITH_POSTGRES), *arguments], environment)  # noqa: S606, S607  # bash of the user's
