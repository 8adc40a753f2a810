"""A run is shards: each a few examples of one test, with a seed, a trace and a coverage of its own.

Who runs a shard, and beside what, changes nothing in it. So the hash of a run, what it reached and its first failure
are the same in one process and in many, and a shard that fails can be run alone.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgdst.simulation.coverage import Coverage
from pgdst.simulation.trace import Trace

Record = Mapping[str, Any]


def seed_of(seed: int, test: str, number: int) -> int:
    """Return the seed of a test's shard, numbered from 0: 64 bits of a hash."""
    return int.from_bytes(hashlib.sha256(repr((seed, test, number)).encode()).digest()[:8])


@dataclass
class Shard:
    """One shard, and what came of it.

    `index` is its place in the whole run, from 0, by which SHARD= calls it; `number` its place among its test's. `tell`
    says at once what has failed. `where` is its test, and `is_whole` tells whether all shards of that are in the run.
    """

    index: int
    number: int
    seed: int
    tell: Callable[[str], object] = lambda _wrong: None
    where: str = ""
    is_whole: bool = True
    trace: Trace = field(default_factory=Trace)
    coverage: Coverage = field(default_factory=Coverage)
    examples: int = 0

    def as_record(self, *, failed: bool) -> Record:
        """Return it in plain types, for the process that sums up: the trace's hash, not its lines."""
        return {
            "index": self.index,
            "hash": self.trace.hexdigest(),
            "lines": len(self.trace.lines),
            "examples": self.examples,
            "coverage": self.coverage.as_record(),
            "failed": failed,
            "where": self.where,
            "is_whole": self.is_whole,
        }


@dataclass(frozen=True)
class Sum:
    """What all shards of a run came to, up to the first that failed."""

    hash: str
    lines: int
    examples: int
    coverage: Coverage
    failed: int | None  # the index of the first that failed
    where: str  # its test
    is_whole: bool  # no shard of a test was left out


def summed(records: Mapping[int, Record]) -> Sum:
    """Return the sum of shards by their indexes: a single shard's hash is the run's, several are hashed in order."""
    failed = min((index for index, record in records.items() if record["failed"]), default=None)
    ordered = [records[index] for index in sorted(records) if failed is None or index <= failed]
    coverage = Coverage()
    for record in ordered:
        coverage.add(record["coverage"])
    hashes = [record["hash"] for record in ordered]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    lines, examples = (sum(record[name] for record in ordered) for name in ("lines", "examples"))
    where = "" if failed is None else records[failed]["where"]
    is_whole = all(record["is_whole"] for record in records.values())
    return Sum(whole, lines, examples, coverage, failed, where, is_whole)
