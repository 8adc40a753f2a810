"""What a search has done and has still to do. Its threads share it, so its caller holds a lock."""

from collections import Counter
from dataclasses import dataclass

from pgdst.search.folder import KINDS, Folder, Identity, Record, read_declared, read_shards
from pgdst.search.plan import Place, Range, Share, place_of
from pgdst.search.workers import Message


@dataclass(frozen=True)
class Wanted:
    """The shards that a call is to run: all of a range that belong to a share, within so many minutes."""

    shards: Range
    share: Share
    minutes: float | None = None

    @property
    def most(self) -> int | None:
        """How many shards there are at most, or None without an end."""
        first, last = self.shards.first, self.shards.last
        return None if last is None else (last - first) // self.share.of + 1


class Ledger:
    """The shards of a search's folder: those that are done, with their sum, and the next one."""

    def __init__(self, folder: Folder, wanted: Wanted, identity: Identity) -> None:
        self._folder = folder
        self._wanted = wanted
        self.identity = identity
        folder.begin(identity, wanted.shards, wanted.share)
        folder.mend()
        self.failures: Counter[str] = Counter()  # shards, by the ids of their failures
        self._reached: set[str] = set()
        self._done: set[int] = set()
        self.here = 0  # shards that this call has run
        self._declared = {kind: set(names) for kind, names in read_declared(folder.path).items()}
        for record in read_shards(folder.path):
            self._count(record)
        self.before = len(self._done)
        self._rest = (shard for shard in wanted.shards if shard in wanted.share and shard not in self._done)
        self._claimed = {one for one in self.failures if folder.has(one)}

    def next(self) -> int | None:
        """Return the next shard to run, or None if there is none."""
        return next(self._rest, None)

    def place(self, shard: int) -> Place:
        """Return where a shard is."""
        return place_of(shard, self.identity.seed, self.identity.shards_a_run)

    def claim(self, failure: str) -> bool:
        """Tell whether a failure is new, and so the caller's to shrink and to keep; the next time it is not."""
        is_new = failure not in self._claimed
        self._claimed.add(failure)
        return is_new

    def give_up(self, failures: set[str]) -> None:
        """Let these be claimed again: they were not kept, as their process has ended, or they could not be repeated."""
        self._claimed -= failures

    def add(self, shard: int, result: Message) -> None:
        """Write the result of a shard, and count it."""
        self._declare(result["shard"]["coverage"])
        record = _line(shard, self.place(shard), result)
        self._folder.append(record)
        self._count(record)
        self.here += 1

    def _declare(self, coverage: Record) -> None:
        new = {kind: self._declared[kind].union(coverage[kind]) for kind in KINDS}
        if new != self._declared:
            self._declared = new
            self._folder.declare({kind: sorted(names) for kind, names in new.items()})

    def _count(self, record: Record) -> None:
        self._done.add(record["shard"])
        self._reached.update(*(record[kind] for kind in KINDS))
        if record["failure"] is not None:
            self.failures[record["failure"]] += 1

    def __str__(self) -> str:
        """Return the counts in words."""
        declared = sum(map(len, self._declared.values()))
        reached = f", {len(self._reached)} of {declared} states and moves reached" if declared else ""
        found = f"{len(self.failures)} failures in {self.failures.total()} shards" if self.failures else "no failures"
        return f"{len(self._done)} shards{reached}, {found}"


def _line(shard: int, place: Place, result: Message) -> Record:
    """Return a shard as its line has it; of states and moves, those that were reached, with their counts."""
    record, coverage = result["shard"], result["shard"]["coverage"]
    counts = {name: count for name, count in sorted(coverage["counts"].items()) if count}
    return {
        "shard": shard,
        "seed": place.seed,
        "index": place.index,
        "hash": record["hash"],
        "lines": record["lines"],
        "examples": record["examples"],
        "states": {name: count for name, count in counts.items() if name in coverage["states"]},
        "moves": {name: count for name, count in counts.items() if name in coverage["moves"]},
        "faults": dict(sorted(result["faults"].items())),
        "seconds": result["seconds"],
        "failure": result["failure"]["id"] if "failure" in result else None,
    }
