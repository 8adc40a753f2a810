"""The folder of a search: what it is a search of, one line a shard, and the failures that were found.

`search.json` says what decides a shard. `shards.jsonl` has one line of JSON for each shard that has ended, and is
complete at any moment. `declared.json` has the names of all states and moves that a shard can reach. `failures/` has a
file for each distinct failure, in the format of `.pgdst/failures`, with its report and its page beside it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from pgdst.errors import ConfigurationError
from pgdst.search.kept import FAILURES, ID
from pgdst.search.plan import Range, Share

ABOUT: Final = "search.json"
SHARDS: Final = "shards.jsonl"
DECLARED: Final = "declared.json"
KINDS: Final = ("states", "moves")
_NUMBERS: Final = ("shard", "seed", "index", "lines", "examples")
_LOCK: Final = "lock"
_SCRATCH: Final = "running"
_FORMAT: Final = 1

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Identity:
    """What decides the shards of a search. Searches with equal ones have equal shards.

    `shards_a_run` is K, the number of a run's shards without extensions. `sources` and `packages` are hashes.
    """

    seed: int
    profile: str | None
    faults: str
    examples: int | None
    shards_a_run: int
    sources: str
    packages: str
    kit: str
    format: int = _FORMAT

    def differences(self, other: "Identity") -> list[str]:
        """Return in words in which values two searches differ."""
        mine, others = asdict(self), asdict(other)
        return [f"{name} {mine[name]} and {others[name]}" for name in mine if mine[name] != others[name]]


@dataclass(frozen=True)
class About:
    """The content of `search.json`: the identity, and which ranges and shares were asked for in this folder so far."""

    identity: Identity
    ranges: tuple[Range, ...] = ()  # without the ones that have no end
    shares: tuple[Share, ...] = ()

    def with_call(self, wanted: Range, share: Share) -> "About":
        """Return it with one more call."""
        ranges = {str(one): one for one in (*self.ranges, wanted) if one.last is not None}
        shares = {str(one): one for one in (*self.shares, share)}
        return About(self.identity, tuple(ranges.values()), tuple(shares.values()))

    def to_json(self) -> str:
        """Return it as the text of the file."""
        calls = {"ranges": list(map(str, self.ranges)), "shares": list(map(str, self.shares))}
        return json.dumps(asdict(self.identity) | calls, indent=2) + "\n"


def read_about(folder: Path) -> About | None:
    """Return what a folder is a search of, or None if it has no search.

    Raises: ConfigurationError, if the file is not one of a search.
    """
    file = folder / ABOUT
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        identity = Identity(**{one.name: found[one.name] for one in fields(Identity)})
        ranges = tuple(map(Range.parse, found["ranges"]))
        shares = tuple(map(Share.parse, found["shares"]))
        if identity.format != _FORMAT or not isinstance(identity.shards_a_run, int) or identity.shards_a_run < 1:
            raise ValueError(f"its format is {identity.format}, of {identity.shards_a_run} shards a run")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{file} is not that of a search ({error!r}). Remove the folder.") from error
    return About(identity, ranges, shares)


def read_shards(folder: Path) -> Iterator[Record]:
    """Yield the lines of a folder's shards. A last line that was not written to its end does not count.

    Raises: ConfigurationError, naming a line that is not one of a shard.
    """
    file = folder / SHARDS
    if not file.exists():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            yield _parsed(file, number, line)


def read_declared(folder: Path) -> dict[str, list[str]]:
    """Return the names of all states and moves that shards have declared. Raises: ConfigurationError."""
    file = folder / DECLARED
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {kind: sorted(map(str, found[kind])) for kind in KINDS}
    except FileNotFoundError:
        return {kind: [] for kind in KINDS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{file} is not that of a search ({error!r}). Remove the folder.") from error


def _parsed(file: Path, number: int, line: bytes) -> Record:
    try:
        found: Record = json.loads(line)
        if not all(isinstance(found[name], int) and found[name] >= 0 for name in _NUMBERS):
            raise TypeError("its numbers are none")
        if not isinstance(found["hash"], str) or not isinstance(found["seconds"], (int, float)):
            raise TypeError("its hash or its seconds are none")
        _check_counts(found["states"], found["moves"], found["faults"])
        if found["failure"] is not None and not ID.fullmatch(found["failure"]):
            raise TypeError("its failure is none")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"Line {number} of {file} is not that of a shard ({error!r}). "
            "Remove the line; the search runs its shard again."
        ) from error
    return found


def _check_counts(*counts: Any) -> None:
    for one in counts:
        if not isinstance(one, dict) or not all(isinstance(count, int) for count in one.values()):
            raise TypeError("its counts are none")


class Folder:
    """The folder of a search that this process runs. It is the only one that writes there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Make the folder if there is none, and keep other searches out of it during the block.

        Yields a folder in it for files that are gone at the end, or at the next beginning if this process is killed.

        Raises: ConfigurationError, if another process has it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _ignore_in_git(self.path)
            lock = (self.path / _LOCK).open("a")
        except OSError as error:
            raise ConfigurationError(f"The search cannot write to {self.path}: {error}. Use another folder.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"Another search is running in {self.path}. Wait for its end, or use another NAME= or TO=."
                ) from error
            scratch = self.path / _SCRATCH
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def begin(self, identity: Identity, wanted: Range, share: Share) -> None:
        """Note a call. Raises: ConfigurationError, if the folder is that of another search."""
        about = read_about(self.path) or About(identity)
        if differences := about.identity.differences(identity):
            raise ConfigurationError(
                f"{self.path} is a search of {'; '.join(differences)}: there and now. "
                "Use another NAME= or TO=, or what it was begun with."
            )
        self._replace(self.path / ABOUT, about.with_call(wanted, share).to_json())

    def mend(self) -> None:
        """Remove the last line of the shards if it was not written to its end, as by a power cut."""
        file = self.path / SHARDS
        if not file.exists():
            return
        with file.open("r+b") as opened:
            content = opened.read()
            opened.truncate(content.rfind(b"\n") + 1)

    def declare(self, names: Mapping[str, list[str]]) -> None:
        """Note the names of all states and moves so far."""
        self._replace(self.path / DECLARED, json.dumps(names, indent=2) + "\n")

    def append(self, record: Record) -> None:
        """Append a shard that has ended; once this returns, it is on the disk."""
        line = f"{json.dumps(record, separators=(',', ':'))}\n".encode()
        descriptor = os.open(self.path / SHARDS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(descriptor, line) != len(line):
                raise ConfigurationError(f"{self.path / SHARDS} could not be written: no space is left.")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def has(self, failure: str) -> bool:
        """Tell whether a failure is kept already, by its id."""
        return (self.path / FAILURES / f"{failure}.json").exists()

    def keep(self, failure: str, files: Mapping[str, str]) -> None:
        """Keep a failure: the texts of its files, by the ends of their names. `.json` comes last, and completes it."""
        (self.path / FAILURES).mkdir(exist_ok=True)
        for end, text in sorted(files.items(), key=lambda one: one[0] == ".json"):
            self._replace(self.path / FAILURES / f"{failure}{end}", text)

    def _replace(self, file: Path, text: str) -> None:
        """Write a file as a whole, so that nobody sees a part of it."""
        new = file.with_name(f"{file.name}.new")
        with new.open("w", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        new.rename(file)


def _ignore_in_git(folder: Path) -> None:
    """Let Git ignore `.pgdst`, if the folder is in one, as that of failures is."""
    for parent in folder.parents:
        if parent.name == ".pgdst" and not (parent / ".gitignore").exists():
            (parent / ".gitignore").write_text("*\n")
