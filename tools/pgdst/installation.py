"""Where this kit is: in a checkout, or installed beside a backend's own packages; and how its commands are started."""

import shlex
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).absolute().parent


def _checkout() -> Path | None:
    root = PACKAGE.parent.parent
    return root if (root / "tools" / "with_postgres.sh").is_file() and (root / "Makefile").is_file() else None


# The checkout that this package is in, if it is in one.
CHECKOUT: Final = _checkout()
WITH_POSTGRES: Final = (PACKAGE if CHECKOUT is None else CHECKOUT / "tools") / "with_postgres.sh"


def command(name: str) -> list[str]:
    """Return what starts a command of the kit, such as `db-up`, by this Python: the checkout's script, or the package.

    Not `-m pgdst`: that would have to find the package, by a search path that a backend may have its own idea of.
    """
    if CHECKOUT is None:
        return [sys.executable, str(PACKAGE), name]
    return [sys.executable, str(CHECKOUT / "tools" / f"{name.replace('-', '_')}.py")]


def spelled(name: str) -> str:
    """Return a command of the kit as a user can type it anywhere."""
    called = command(name) if CHECKOUT is not None else [sys.executable, "-m", "pgdst", name]
    return shlex.join(called)


def requirement() -> str:
    """Return what to tell pip of this kit, so that it installs its packages."""
    return "pgdst" if CHECKOUT is None else str(CHECKOUT)
