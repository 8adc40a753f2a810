"""The identity of the code that decides a run: the same on every machine with the same checkout and packages."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.installation import CHECKOUT, PACKAGE
from pgdst.project import Project, read_toml

_SUFFIXES: Final = (".py", ".sql", ".sh", ".toml", ".ini", ".cfg", ".mako")
_INSTALLED: Final = ".dist-info"
_ENVIRONMENT: Final = "pyvenv.cfg"  # a folder with this file is a virtual environment


def sources(project: Project) -> str:
    """Return a hash of the sources of the kit and of the backend: 16 hex digits.

    Paths are relative, so that a checkout elsewhere has the same. Hidden folders, caches and virtual environments do
    not count.

    Raises: ConfigurationError, if one cannot be read.
    """
    found = hashlib.sha256()
    try:
        for root in (PACKAGE, project.backend, project.simulation):
            for name, file in sorted(_files(root)):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise ConfigurationError(f"A source of the run cannot be read: {error}.") from error
    return found.hexdigest()[:16]


def packages() -> str:
    """Return a hash of Python's version and of all installed packages, but the kit, with theirs: 16 hex digits."""
    folders = {Path(path) for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    names = {file.name for folder in folders for file in folder.glob(f"*{_INSTALLED}")}  # with their versions
    installed = sorted(name.lower() for name in names if not name.startswith("pgdst-"))
    return hashlib.sha256("\n".join([platform.python_version(), *installed]).encode()).hexdigest()[:16]


def kit() -> str:
    """Return the kit's version."""
    return version("pgdst") if CHECKOUT is None else str(read_toml(CHECKOUT / "pyproject.toml")["project"]["version"])


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the source files below a folder with their relative names. Raises: OSError."""
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if _counts(Path(folder) / name)]
        for name in names:
            file = Path(folder) / name
            if file.suffix in _SUFFIXES and file.is_file():
                yield file.relative_to(root).as_posix(), file


def _raise(error: OSError) -> None:
    raise error


def _counts(folder: Path) -> bool:
    is_a_cache = folder.name.startswith(".") or folder.name in ("__pycache__", "node_modules")
    return not is_a_cache and not (folder / _ENVIRONMENT).exists()
