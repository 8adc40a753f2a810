"""The place in the user's code where a client has stopped: its line, and not one of a driver or a library."""

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

_MOST: Final = 400  # frames that are looked through
# Folders of code that is not the user's: Python's own, the installed packages and the kit.
_PATHS: Final = sysconfig.get_paths()
_OTHERS: Final = tuple(
    f"{Path(folder).resolve()}/"
    for folder in [
        *(_PATHS[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parents[2]),
    ]
)


@dataclass(frozen=True)
class Code:
    """A line of a file, from 1, and the function that it is in."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """Return the file's name and the line."""
        return f"{Path(self.file).name}:{self.line}"


def of_thread(*threads: int | None) -> Code | None:
    """Return the innermost line of the user's in the first of these threads that has one."""
    frames = sys._current_frames()
    for thread in threads:
        if thread is not None and (found := _innermost(_outwards(frames.get(thread)))) is not None:
            return found
    return None


def of_coroutine(coroutine: Any) -> Code | None:
    """Return the innermost line of the user's in a coroutine that waits, and in those that it waits for."""
    return _innermost(reversed(list(_inwards(coroutine))))


def _innermost(frames: Iterator[FrameType]) -> Code | None:
    # All at once: to ask for a file's path lets other threads run, and then a generator's frame has no caller any more.
    found = [(frame.f_code, frame.f_lineno) for frame in frames]
    for code, line in found:
        if _is_users(code.co_filename):
            return Code(code.co_filename, line, code.co_name)
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_MOST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _inwards(waiting: Any) -> Iterator[FrameType]:
    for _ in range(_MOST):
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is None:
            return
        yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


@cache
def _is_users(file: str) -> bool:
    return not file.startswith("<") and not str(Path(file).resolve()).startswith(_OTHERS)
