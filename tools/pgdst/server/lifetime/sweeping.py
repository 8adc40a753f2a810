"""Directories that dead runs have left: found and removed."""

import os
import time
from pathlib import Path
from typing import Final

import psutil

from pgdst.server.lifetime import directory
from pgdst.server.lifetime.keeping import is_kept
from pgdst.server.lifetime.lease import FIFO, OWNER
from pgdst.server.lifetime.ownership import is_alive, owner_in

# The maker of a directory may be unknown here: a container that shares the folder has process ids of its own. Its
# directory is complete by then.
_INCOMPLETE_SECONDS: Final = 0.5
_UNSIGNED_SECONDS: Final = 60  # another process may have the maker's id by now


def leftover_directories() -> list[Path]:
    """Return run directories of this user's whose run has ended: nobody holds the fifo, and the maker is dead."""
    return [path for path in directory.listed() if _is_leftover(path)]


def sweep_directories() -> list[str]:
    """Remove the directories of dead runs, except those with an embedded server in them; return their paths."""
    found = [path for path in leftover_directories() if not (path / "server").exists()]
    for path in found:
        directory.remove(path)
    return [str(path) for path in found]


def _is_leftover(path: Path) -> bool:
    try:
        if not directory.is_own(path) or is_kept(path):
            return False
        if not (path / FIFO).is_fifo():
            return bool(directory.NAME.fullmatch(path.name)) and _maker_is_dead(path)
        return not _is_held(path / FIFO) and _maker_is_dead(path)
    except OSError:
        return False


def _maker_is_dead(path: Path) -> bool:
    """Tell whether the maker has ended, by its signature; where there is none, by the directory's name and age."""
    try:
        return is_alive(owner_in((path / OWNER).read_text(encoding="utf-8"))) is False
    except FileNotFoundError:
        named, age = directory.NAME.fullmatch(path.name), time.time() - path.stat().st_mtime
        is_gone = named is not None and not psutil.pid_exists(int(named["pid"]))
        return age > (_INCOMPLETE_SECONDS if is_gone else _UNSIGNED_SECONDS)
    except ValueError:
        return False


def _is_held(fifo: Path) -> bool:
    """Tell whether somebody has the fifo open: opening it for writing without waiting then succeeds."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
