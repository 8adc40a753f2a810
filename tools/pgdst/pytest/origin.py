"""Where a failure comes from. Failures with the same origin are taken for one."""

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgdst.installation import PACKAGE

_KIT: Final = str(PACKAGE)


@dataclass(frozen=True)
class Origin:
    """The check that failed, and the code that its error came from.

    `check` is the type of the error and the functions of the project that it went through; `code` is the innermost
    place in the project, as file:line, with the file relative to the project's root.
    """

    check: str
    code: str

    @property
    def id(self) -> str:
        """12 hex digits that stand for it, the same on every machine."""
        return hashlib.sha256(f"{self.check}\n{self.code}".encode(errors="surrogateescape")).hexdigest()[:12]


def origin_of(error: BaseException, root: Path) -> Origin:
    """Return the origin of an error that was raised. `root` is the project's folder.

    Files outside the project, installed packages and the kit's own do not count: the calls within them may differ
    between machines, and are no reason to take one failure for two. An error that another one has caused has that
    one's frames, too.
    """
    frames = [frame for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    own = [(_relative(frame.filename, root), frame) for frame in frames]
    places = [(name, frame) for name, frame in own if name is not None]
    functions = _without_repetition([f"{name}:{frame.name}" for name, frame in places])
    name, frame = places[-1] if places else ("", None)
    return Origin(" > ".join([type(error).__name__, *functions]), f"{name}:{frame.lineno}" if frame else "")


def _chain(error: BaseException) -> Sequence[BaseException]:
    """Return the error and those that caused it, itself first."""
    found = [error]
    while (cause := found[-1].__cause__) is not None and cause not in found:
        found.append(cause)
    return found


def _relative(file: str, root: Path) -> str | None:
    path = Path(file)
    if "site-packages" in path.parts or file.startswith(_KIT) or not path.is_relative_to(root):
        return None
    return path.relative_to(root).as_posix()


def _without_repetition(names: Sequence[str]) -> list[str]:
    """Leave out functions that were there before: how deep a recursion is does not make another failure."""
    return list(dict.fromkeys(names))
