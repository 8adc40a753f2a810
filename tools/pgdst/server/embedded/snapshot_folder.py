"""Snapshots for the embedded engine: folders in the user's cache, with a packed data directory and its manifest."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pgdst.errors import EmbeddedError
from pgdst.manifest import Manifest, digest, from_json
from pgdst.server.embedded import unprivileged
from pgdst.server.snapshot import superseded

ARCHIVE, CONTENTS = "data.tar", "snapshot.json"
UNFINISHED = ".new-"


@dataclass(frozen=True)
class Found:
    """A snapshot that may be used."""

    folder: Path
    password: str
    manifest: Manifest

    def unpack(self, to: Path) -> None:
        """Unpack the data directory, as the user that Postgres runs as: with no other rights. Raises: EmbeddedError."""
        command = ["tar", "-xpf", "-", "-C", str(to)]
        with (self.folder / ARCHIVE).open("rb") as archive:
            options = {**unprivileged.options(), "stdin": archive}
            done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        if done.returncode != 0:
            raise EmbeddedError(
                f"The snapshot {self.folder} could not be unpacked to {to}: {done.stderr.strip()}. "
                "Make room, or start without one: SNAPSHOT=off"
            )


def folder() -> Path:
    """Return the folder of all snapshots; it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "pgdst" / "snapshots"


def find(key: str) -> Found | None:
    """Return the newest snapshot with this key whose manifest is current."""
    for candidate in _list():
        content = _content(candidate)
        if content.get("key") == key:
            manifest = from_json(str(content["manifest"]))
            if manifest is not None and manifest.is_current():
                return Found(candidate, str(content["password"]), manifest)
    return None


def store(key: str, archive: Path, checkout: str, password: str, manifest: Manifest) -> Found:
    """Move the archive into a new snapshot, which appears whole (by renaming); remove old ones.

    Raises: EmbeddedError where the cache cannot be written, or is not this user's alone.
    """
    home = folder()
    content = {"key": key, "checkout": checkout, "password": password, "manifest": manifest.to_json()}
    try:
        unprivileged.require_safe(home, "Set XDG_CACHE_HOME to another folder, or use SNAPSHOT=off.")
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_own(home)
        made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=home))
        try:
            shutil.move(archive, made / ARCHIVE)
            (made / CONTENTS).write_text(json.dumps(content), encoding="utf-8")
            name = home / f"{digest(f'{key} {manifest.to_json()}'.encode())[:12]}-{made.name.removeprefix(UNFINISHED)}"
            made.rename(name)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise EmbeddedError(f"No snapshot can be kept in {home} ({error}). Correct it, or use SNAPSHOT=off.") from error
    prune(checkout)
    return Found(name, password, manifest)


def prune(checkout: str) -> None:
    """Remove all but the last few; a start that is unpacking one has it open already."""
    found = [(str(one), str(_content(one).get("checkout", ""))) for one in _list()]
    for path in superseded(found, checkout):
        shutil.rmtree(path, ignore_errors=True)


def clear() -> list[str]:
    """Remove all snapshots, unfinished ones included, and return their paths."""
    try:
        found = [one for one in folder().iterdir() if one.is_dir()]
    except OSError:
        return []
    for one in found:
        shutil.rmtree(one, ignore_errors=True)
    return [str(one) for one in found]


def listed() -> list[str]:
    """Return a line for each snapshot, the newest first."""
    return [f"{one} ({(one / ARCHIVE).stat().st_size / 1e6:.0f} MB)" for one in _list()]


def _list() -> list[Path]:
    """Return the whole snapshots, the newest first; none where the folder is not this user's alone."""
    home = folder()
    with contextlib.suppress(OSError, EmbeddedError):
        _require_own(home)
        whole = [one for one in home.iterdir() if not one.name.startswith(UNFINISHED) and (one / ARCHIVE).is_file()]
        return sorted(whole, key=lambda one: (one / CONTENTS).stat().st_mtime_ns, reverse=True)
    return []


def _require_own(home: Path) -> None:
    """Raise EmbeddedError where somebody else could have put something into the folder, or another in its place."""
    found = home.lstat()
    if not _is_own(found):
        raise EmbeddedError(f"{home} belongs to, or can be written by, somebody else. Remove it, or use SNAPSHOT=off.")
    unprivileged.require_safe(home, "Set XDG_CACHE_HOME to another folder, or use SNAPSHOT=off.")


def _is_own(found: os.stat_result) -> bool:
    is_folder = stat.S_ISDIR(found.st_mode)
    return is_folder and found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _content(snapshot: Path) -> dict[str, object]:
    try:
        found = json.loads((snapshot / CONTENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
