"""Where this kit is: in a checkout, or installed beside a backend's own packages; and how its commands are started."""

import shlex
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).absolute().parent
_HOME: Final = str(PACKAGE.parent)


def _checkout() -> Path | None:
    root = PACKAGE.parent.parent
    return root if (root / "tools" / "with_postgres.sh").is_file() and (root / "Makefile").is_file() else None


# The checkout that this package is in, if it is in one.
CHECKOUT: Final = _checkout()
WITH_POSTGRES: Final = (PACKAGE if CHECKOUT is None else CHECKOUT / "tools") / "with_postgres.sh"


def command(name: str) -> list[str]:
    """Return what runs a command of the kit, such as `db-up`, by this Python and from this very package.

    Not `-m pgdst`: that would look for the package, by a search path that a backend may have its own idea of.
    """
    program = f"import sys; {_HOME!r} in sys.path or sys.path.insert(0, {_HOME!r}); "
    return [sys.executable, "-P", "-c", f"{program}from pgdst.launch import launch; launch(sys.argv.pop(1))", name]


def alone(module: str) -> list[str]:
    """Return what runs `main()` of a module of the kit's with the standard library and the kit alone to import."""
    program = f"import sys; sys.path.append({_HOME!r}); from importlib import import_module; "
    return [sys.executable, "-IS", "-c", f"{program}import_module(sys.argv.pop(1)).main()", module]


def spelled(name: str) -> str:
    """Return a command of the kit as a user can type it anywhere."""
    if CHECKOUT is None:
        return shlex.join([sys.executable, "-m", "pgdst", name])
    return shlex.join([sys.executable, str(CHECKOUT / "tools" / f"{name.replace('-', '_')}.py")])


def requirement() -> str:
    """Return the argument by which pip installs this kit and its packages."""
    return "pgdst" if CHECKOUT is None else str(CHECKOUT)
