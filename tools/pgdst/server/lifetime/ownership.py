"""Which process made a container or a directory, and whether it still lives.

A process is known by its id and its start time, in one boot and process namespace of a machine.
"""

import json
import math
import uuid
from pathlib import Path
from typing import Any, Final

import psutil

_FIELDS: Final = {"host": str, "pid": int, "started": float}
_MOST_CHARACTERS: Final = 1000  # a label of somebody else's may have millions


def owner() -> dict[str, str | int | float]:
    """Return this process: its process namespace, its id, and its start in seconds since the epoch."""
    me = psutil.Process()
    return {"host": _process_space(), "pid": me.pid, "started": round(me.create_time(), 2)}


def owner_in(text: str | None) -> dict[str, Any] | None:
    """Return the `owner()` that a text holds as JSON, or None where it holds none: anybody may have written it."""
    try:
        found = json.loads(text or "") if len(text or "") < _MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or {name: type(found.get(name)) for name in _FIELDS} != _FIELDS:
        return None
    return found if 0 < found["pid"] < 2**31 and math.isfinite(found["started"]) else None


def is_alive(found: dict[str, Any] | None) -> bool | None:
    """Tell whether the process of an `owner_in` lives; None where there is none, or it is of another namespace."""
    if found is None or found["host"] != _process_space():
        return None
    try:
        return abs(psutil.Process(int(found["pid"])).create_time() - float(found["started"])) < 1
    except psutil.NoSuchProcess:
        return False


def _process_space() -> str:
    """Return the boot and the process namespace: containers may share a host's name and its Docker daemon."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{uuid.getnode():x}"
