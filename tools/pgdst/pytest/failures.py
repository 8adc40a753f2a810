"""Failed shards and failed runs of several clients, which are kept in a folder of the checkout until they pass."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pgdst.errors import ConfigurationError

FOLDER: Final = Path(".pgdst") / "failures"
_LONGEST: Final = 150  # characters of a file's name
_ODD: Final = re.compile(r"[^\w./:\[\]-]", re.ASCII)  # characters of a test's name that its file's name loses


@dataclass(frozen=True)
class Failure:
    """A failed shard: the options that run it again, and its error."""

    seed: int
    shard: int
    profile: str | None
    examples: int | None
    faults: str | None
    wrong: str

    def keep(self, root: Path) -> Path:
        """Write it to a file in the project's folder, and return the file's path."""
        file = _folder(root) / f"{self.seed}-{self.shard}.json"
        file.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8", errors="backslashreplace")
        return file


def kept(root: Path) -> Iterator[tuple[Path, Failure]]:
    """Yield the kept shards of a project with their files, oldest first. Raises: ConfigurationError.

    A file that goes meanwhile is passed over: a shard that passes takes that of its last run with it.
    """
    files = sorted((root / FOLDER).glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name))
    for file in files:
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if "test" not in found:  # else it is a FailedRun's
                yield file, Failure(**found)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{file} is not a failure that was kept ({error}). Remove it.") from error


class FailedRun:
    """The files of a test's failed run of several clients: its data as JSON, and a page that shows it."""

    def __init__(self, root: Path, test: str) -> None:
        self._root = root
        self._test = test
        self.data = root / FOLDER / f"{file_name(test)}.json"
        self.page = self.data.with_suffix(".html")

    def keep(self, told: dict[str, Any], page: str) -> None:
        """Write the data and the page."""
        _folder(self._root)
        text = json.dumps(told, indent=2)
        for file, content in ((self.data, text), (self.page, page)):
            file.write_text(f"{content}\n", encoding="utf-8", errors="backslashreplace")

    @property
    def schedule(self) -> str | None:
        """The schedule that failed, if `explore` found it and it is kept. A file that is none of ours has none."""
        found = self._told()
        return str(found["schedule"]) if found.get("is_explored") and "schedule" in found else None

    def forget(self) -> bool:
        """Remove the files, and return whether there were any that could be removed."""
        if not self._told():
            return False
        try:
            for file in (self.page, self.data):
                file.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _told(self) -> dict[str, Any]:
        """Return what is kept; nothing if it is of another test, whose name gives the same file, or none of ours."""
        try:
            found = json.loads(self.data.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) and found.get("test") == self._test else {}


def file_name(test: str) -> str:
    """Return the name of a test's file. Tests whose names differ have files of their own, but for chance."""
    name = re.sub(r"[^\w.-]+", "_", test, flags=re.ASCII).strip("_")
    if len(name) <= _LONGEST and not _ODD.search(test):
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(test.encode(errors='backslashreplace')).hexdigest()[:8]}"


def _folder(root: Path) -> Path:
    """Return the folder of the failures. Git ignores all that is in it."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder.parent / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n")
    return folder
