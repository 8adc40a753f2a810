"""The kit's own location (a checkout, or an installed package), and how to start its commands from there."""

import shlex
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).absolute().parent
_HOME: Final = str(PACKAGE.parent)


def _checkout() -> Path | None:
    root = PACKAGE.parent.parent
    return root if (root / "tools" / "with_postgres.sh").is_file() and (root / "Makefile").is_file() else None


# The checkout that contains this package, or None.
CHECKOUT: Final = _checkout()
WITH_POSTGRES: Final = (PACKAGE if CHECKOUT is None else CHECKOUT / "tools") / "with_postgres.sh"


def command(name: str) -> list[str]:
    """Return the words that run a command of the kit, such as `db-up`, by this Python and from this very package.

    Not `-m pgdst`: that looks for the package on a search path that a backend may have changed.
    """
    program = f"import sys; {_HOME!r} in sys.path or sys.path.insert(0, {_HOME!r}); "
    return [sys.executable, "-P", "-c", f"{program}from pgdst.launch import launch; launch(sys.argv.pop(1))", name]


def alone(module: str) -> list[str]:
    """Return the words that run a module's `main()` with only the standard library and the kit on the search path."""
    program = f"import sys; sys.path.append({_HOME!r}); from importlib import import_module; "
    return [sys.executable, "-IS", "-c", f"{program}import_module(sys.argv.pop(1)).main()", module]


def spelled(name: str) -> str:
    """Return a command of the kit as a user can type it in any folder."""
    if CHECKOUT is None:
        return shlex.join([sys.executable, "-m", "pgdst", name])
    return shlex.join([sys.executable, str(CHECKOUT / "tools" / f"{name.replace('-', '_')}.py")])


def requirement() -> str:
    """Return the argument by which pip installs this kit and its packages."""
    return "pgdst" if CHECKOUT is None else str(CHECKOUT)
