"""The user that Postgres runs as: ourselves, or `nobody` where we are root, as Postgres refuses to run as root.

Root does not read, follow, run or signal anything that this user can write. A process of that user's does it instead,
started with `options()`: it gets nothing of root's environment, and no terminal.
"""

import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

from pgdst.errors import EmbeddedError

_NAME: Final = "nobody"
# Without TZ initdb compares this machine's time with every time zone, for up to two seconds.
ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}


def identity() -> tuple[int, int] | None:
    """Return the user and group of the unprivileged user where this process is root, else None.

    Raises: EmbeddedError where there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        raise EmbeddedError(
            f"Postgres refuses to run as root, and there is no user {_NAME} to run it as. Run as another user."
        ) from None
    return entry.pw_uid, entry.pw_gid


def options() -> dict[str, Any]:
    """Return the arguments of subprocess for a process of that user."""
    alone: dict[str, Any] = {
        "env": ENVIRONMENT,
        "cwd": "/",
        "stdin": subprocess.DEVNULL,
        "start_new_session": True,
    }
    if (found := identity()) is not None:
        alone |= {"user": found[0], "group": found[1], "extra_groups": []}
    return alone


def give(path: Path) -> None:
    """Make that user the owner of a path that was just made in a folder that only we can change."""
    if (found := identity()) is not None:
        os.chown(path, *found, follow_symlinks=False)


def require_reachable(folder: Path) -> None:
    """Raise EmbeddedError where that user could not get into a folder that others may pass."""
    closed = [one for one in folder.parents if identity() and not one.stat().st_mode & stat.S_IXOTH]
    if closed:
        raise EmbeddedError(
            f"Postgres runs as {_NAME} where pgdst runs as root, and {closed[0]} is closed to others. "
            "Run with TMPDIR=/tmp, or as another user."
        )


def require_safe(path: Path, cure: str) -> None:
    """Raise EmbeddedError where somebody else could put something in the place of `path`, which need not exist.

    Only root is checked: other users could be attacked by the same people anyway.
    """
    if os.geteuid() != 0:
        return
    for one in {*path.absolute().parents, *path.resolve().parents}:
        try:
            found = one.lstat()
        except FileNotFoundError:  # it will be made by us
            continue
        if _is_anybodys(found):
            raise EmbeddedError(f"{one} can be changed by others than root, so root does not use {path}. {cure}")


def _is_anybodys(found: os.stat_result) -> bool:
    """Tell whether others than root can put something else into a folder, or in the place of a link."""
    if found.st_uid != 0:
        return True
    if stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_ISVTX:
        return False
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != 0))
