"""Many folders of one search together: each shard once, whoever has run it."""

import os
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgdst.errors import ConfigurationError
from pgdst.search.folder import ABOUT, KINDS, About, Identity, Record, read_about, read_declared, read_shards
from pgdst.search.plan import Place, Range, Share, place_of

Hashes = dict[str, list[Path]]  # the folders by a shard's hash


@dataclass(frozen=True)
class Done:
    """What is kept of a shard."""

    hash: str
    seconds: float
    failure: str | None
    folder: Path


@dataclass
class Reached:
    """A state or a move: the shards that have reached it, how often in all, and the first such shard, if any."""

    shards: int = 0
    count: int = 0
    first: int | None = None

    def add(self, shard: int, count: int) -> None:
        """Count a shard that has reached it."""
        self.shards += 1
        self.count += count
        self.first = shard if self.first is None else min(self.first, shard)


@dataclass
class Merged:
    """The sum of a search's folders."""

    identity: Identity
    folders: list[Path]
    shards: dict[int, Done] = field(default_factory=dict)
    differing: dict[int, Hashes] = field(default_factory=dict)
    examples: int = 0
    lines: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    coverage: dict[str, dict[str, Reached]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # shards, by ids
    missing: list[Range] = field(default_factory=list)
    missing_shares: list[Share] = field(default_factory=list)

    def place(self, shard: int) -> Place:
        """Return where a shard is."""
        return place_of(shard, self.identity.seed, self.identity.shards_a_run)

    def is_complete(self) -> bool:
        """Tell whether no shard is missing that was asked for."""
        return not self.missing and not self.missing_shares


def searches_in(given: Sequence[Path]) -> list[Path]:
    """Return the folders of searches that are given, or are somewhere below. No symbolic link is followed.

    Raises: ConfigurationError, if there is none in one of them.
    """
    found: dict[Path, None] = {}
    for folder in given:
        here = [folder] if (folder / ABOUT).is_file() else sorted(_below(folder))
        if not here:
            raise ConfigurationError(f"There is no search in {folder}: no {ABOUT} is in it or below.")
        found |= dict.fromkeys(one.resolve() for one in here)
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    return (Path(here) for here, _folders, names in os.walk(folder, followlinks=False) if ABOUT in names)


def merge(folders: Sequence[Path]) -> Merged:
    """Return the sum of these folders. Raises: ConfigurationError, if they are of different searches, or damaged."""
    abouts = {folder: _about(folder) for folder in folders}
    first = abouts[folders[0]].identity
    for folder, about in abouts.items():
        if differences := first.differences(about.identity):
            raise ConfigurationError(
                f"{folders[0]} and {folder} are different searches: {'; '.join(differences)}. Merge them apart."
            )
    merged = Merged(first, list(folders))
    for folder in folders:
        _declare(merged, folder)
        for record in read_shards(folder):
            _add(merged, folder, record)
    merged.missing = list(_missing(merged, abouts))
    merged.missing_shares = _missing_shares(about for about in abouts.values() if not about.ranges)
    for shards in merged.failures.values():
        shards.sort()
    return merged


def _about(folder: Path) -> About:
    found = read_about(folder)
    if found is None:
        raise ConfigurationError(f"There is no search in {folder}.")
    return found


def _declare(merged: Merged, folder: Path) -> None:
    for kind, names in read_declared(folder).items():
        for name in names:
            merged.coverage[kind].setdefault(name, Reached())


def _add(merged: Merged, folder: Path, record: Record) -> None:
    shard = record["shard"]
    if (record["seed"], record["index"]) != (merged.place(shard).seed, merged.place(shard).index):
        raise ConfigurationError(f"Shard {shard} in {folder} has the seed and index of another. Remove the folder.")
    if (known := merged.shards.get(shard)) is not None:
        if known.hash != record["hash"]:
            hashes = merged.differing.setdefault(shard, {known.hash: [known.folder]})
            hashes.setdefault(record["hash"], []).append(folder)
        return
    merged.shards[shard] = Done(record["hash"], record["seconds"], record["failure"], folder)
    merged.examples += record["examples"]
    merged.lines += record["lines"]
    merged.faults.update(record["faults"])
    for kind in KINDS:
        for name, count in record[kind].items():
            merged.coverage[kind].setdefault(name, Reached()).add(shard, count)
    if record["failure"] is not None:
        merged.failures[record["failure"]].append(shard)


def _missing(merged: Merged, abouts: dict[Path, About]) -> Iterator[Range]:
    """Yield what is missing of the ranges that were asked for.

    Of a folder without one, that is what its shares have left out before the last shard that it has.
    """
    yield from _gaps(_together(one for about in abouts.values() for one in about.ranges), sorted(merged.shards))
    endless = [(folder, about) for folder, about in abouts.items() if not about.ranges]
    left_out: set[int] = set()
    for folder, about in endless:
        done = [shard for shard, one in merged.shards.items() if one.folder == folder]
        for share in about.shares:
            last = max((shard for shard in done if shard in share), default=-1)
            left_out |= set(range(share.number - 1, last, share.of)) - merged.shards.keys()
    yield from (Range(shard, shard) for shard in sorted(left_out))


def _together(ranges: Iterable[Range]) -> list[tuple[int, int]]:
    """Return the firsts and lasts of ranges that have a last, in order, with those that overlap or touch as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted({(one.first, one.last) for one in ranges if one.last is not None}):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _gaps(ranges: Iterable[tuple[int, int]], done: Sequence[int]) -> Iterator[Range]:
    """Yield the parts of ranges that are not done; both in order."""
    for first, last in ranges:
        at = first
        for shard in done[bisect_left(done, first) : bisect_right(done, last)]:
            if shard > at:
                yield Range(at, shard - 1)
            at = shard + 1
        if at <= last:
            yield Range(at, last)


def _missing_shares(abouts: Iterable[About]) -> list[Share]:
    """Return the shares that no folder has, where others of as many were taken without a range."""
    taken = {share for about in abouts for share in about.shares}
    wanted = {Share(number, of) for of in {share.of for share in taken} for number in range(1, of + 1)}
    return sorted(wanted - taken, key=lambda share: (share.of, share.number))
