"""Shards: a run is a list of them, each a few examples of one test with a seed, a trace and a coverage of its own.

A shard does not depend on the process that runs it, or on other shards. So the hash of a run, its coverage and its
first failure are the same in one process and in many, and a failed shard can be run alone.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgdst.simulation.coverage import Coverage
from pgdst.simulation.trace import Trace

Record = Mapping[str, Any]


def seed_of(seed: int, test: str, number: int) -> int:
    """Return the seed of a test's shard, numbered from 0: 64 bits of a hash of the arguments."""
    return int.from_bytes(hashlib.sha256(repr((seed, test, number)).encode()).digest()[:8])


@dataclass
class Shard:
    """One shard and its results.

    `index` is its place in the whole run, from 0, as in SHARD=; `number` its place among the shards of its test. `tell`
    reports a failure at once. `where` is its test, and `is_whole` says whether all shards of that test are in the run.
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
        """Return it in plain types for the main process, with the trace's hash instead of its lines."""
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
    """The sum of a run's shards, up to the first that failed."""

    hash: str
    lines: int
    examples: int
    coverage: Coverage
    failed: int | None  # the index of the first failed shard
    where: str  # the test of that shard
    is_whole: bool  # whether all shards of each test were run


def summed(records: Mapping[int, Record]) -> Sum:
    """Return the sum of shards. The run's hash is that of a single shard, or a hash of several shards' in order."""
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
