"""The commands of the kit, a module each: `python -m pgdst COMMAND`, or a script in tools/."""

from pkgutil import iter_modules

import click

from pgdst.cli import Commands

_NAMES = sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


@click.command(cls=Commands, names=_NAMES, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Test a backend deterministically on a real, throw-away Postgres 16.

    Example: {with-postgres} -- pytest
    """
