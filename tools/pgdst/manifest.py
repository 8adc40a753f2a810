"""The manifest of a migration run: hashes of the files, folders and variables that it read.

As long as all of them are unchanged, the migrations would make the same database again, so it may be reused.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ABSENT = "absent"


@dataclass(frozen=True)
class Manifest:
    """The head revision, and the state of every file, folder and environment variable that was read, by name."""

    head: str
    files: Mapping[str, str]
    folders: Mapping[str, str]
    variables: Mapping[str, str]

    def is_current(self) -> bool:
        """Tell whether all of them are unchanged. Folders are checked first, as they are the cheapest."""
        states: tuple[tuple[Mapping[str, str], Callable[[str], str]], ...] = (
            (self.folders, folder_state),
            (self.variables, variable_state),
            (self.files, file_state),
        )
        return all(state(name) == was for noted, state in states for name, was in noted.items())

    def to_json(self) -> str:
        """Return the manifest as JSON; equal manifests give equal text."""
        noted = {"head": self.head, "files": self.files, "folders": self.folders, "variables": self.variables}
        return json.dumps(noted, default=dict, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Manifest | None:
    """Return the manifest that `to_json` wrote, or None if the text is not one."""
    try:
        found = json.loads(text)
        return Manifest(found["head"], found["files"], found["folders"], found["variables"])
    except (ValueError, KeyError, TypeError):
        return None


def file_state(path: str) -> str:
    """Return the hash of a file's bytes, or ABSENT if there is no regular file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # asked for dozens of files at every start
            return ABSENT
        return digest(Path(path).read_bytes())
    except OSError:
        return ABSENT


def folder_state(path: str) -> str:
    """Return the hash of the names in a folder, except caches and hidden files, which tools leave there."""
    try:
        names = sorted(name for name in os.listdir(path) if name[0] != "." and name != "__pycache__")  # noqa: PTH208  # as above
    except OSError:
        return ABSENT
    return digest("\0".join(names).encode(errors="surrogateescape"))


def variable_state(name: str) -> str:
    """Return the hash of a variable's value. The value itself may be a secret, and others can read a manifest."""
    value = os.environ.get(name)
    return ABSENT if value is None else digest(value.encode(errors="surrogateescape"))


def digest(content: bytes) -> str:
    """Return 128 bits of SHA-256 in hexadecimal, enough for content that nobody forges."""
    return hashlib.sha256(content).hexdigest()[:32]
