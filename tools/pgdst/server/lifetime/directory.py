"""The directory of a run: where it is made, whose it is, and files in it that nobody else can read."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "pgdst-"
# A directory's name has the id of the process that made it, and something random: with_postgres.sh knows no more.
NAME: Final = re.compile(rf"{PREFIX}(?P<pid>[0-9]+)-[A-Za-z0-9_]+")


def make() -> Path:
    """Make the directory of a run for this process."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).absolute()


def listed() -> list[Path]:
    """Return everything in the folder for temporary files that has the name of a run's directory, sorted."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def is_own(path: Path) -> bool:
    """Tell whether a directory is this user's, by one look: another user's may be something else at the next.

    Raises: OSError where there is nothing.
    """
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def write(file: Path, text: str) -> Path:
    """Write a file that nobody else can read or change: others may pass a run's directory."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    return file


def remove(path: Path) -> None:
    """Remove a run's directory; one that is gone already is no error."""
    shutil.rmtree(path, ignore_errors=True)
