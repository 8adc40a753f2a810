"""Runs that are kept: the directory, and the server in it, stay for a while after the run."""

import json
import time
from pathlib import Path
from typing import Any, Final

from pgdst.server.lifetime import directory
from pgdst.server.lifetime.lease import Lease

KEEP: Final = "keep"  # a file in the run's directory: until when it stays, and for which checkout


def keep(lease: Lease, seconds: int, checkout: str) -> None:
    """Let the run's directory, and the server in it, stay for so many seconds after the run."""
    text = json.dumps({"until": time.time() + seconds, "checkout": checkout})
    directory.write(lease.directory / f"{KEEP}.new", text).rename(lease.directory / KEEP)


def kept(checkout: str) -> list[Path]:
    """Return the directories of runs of this checkout that are kept."""
    return [path for path in directory.listed() if _said(path).get("checkout") == checkout]


def is_kept(path: Path) -> bool:
    """Tell whether the directory of a run is kept for some time yet."""
    return bool(_said(path).get("until", 0) > time.time())


def _said(path: Path) -> dict[str, Any]:
    """Return what the file says, or nothing where this user has not written one."""
    try:
        if not directory.is_own(path):
            return {}
        said: dict[str, Any] = json.loads((path / KEEP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said
