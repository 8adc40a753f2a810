"""A run that several workers share: each has its part of the examples, a seed of its own, its own trace and ledger."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgdst.simulation.ledger import Ledger
from pgdst.simulation.trace import Trace

# Above the bits of any seed that a user gives and of what a simulation derives from it.
SHARE_BITS = 96


@dataclass
class Share:
    """One worker's part of a run: its number from 0, and what came of it."""

    trace: Trace = field(default_factory=Trace)
    ledger: Ledger = field(default_factory=Ledger)

    def as_record(self) -> dict[str, Any]:
        """Return it in plain types, to be sent to the process that sums up: the trace's hash, not its lines."""
        return {"hash": self.trace.hexdigest(), "lines": len(self.trace.lines), "ledger": self.ledger.as_record()}


@dataclass(frozen=True)
class Sum:
    """What all shares of a run came to."""

    hash: str
    lines: int
    ledger: Ledger


def seed_of(seed: int, share: int, workers: int) -> int:
    """Return the seed of one share. The only share of a run has the run's own."""
    return seed if workers == 1 else seed + ((share + 1) << SHARE_BITS)


def part_of(examples: int, workers: int) -> int:
    """Return how many examples each share has: at least as many in all as were asked for."""
    return -(-examples // workers)


def summed(records: Mapping[int, Mapping[str, Any]]) -> Sum:
    """Return the sum of shares by their numbers: a single share's hash is the run's, several are hashed in order."""
    ordered = [records[share] for share in sorted(records)]
    hashes = [record["hash"] for record in ordered]
    ledger = Ledger()
    for record in ordered:
        ledger.add(record["ledger"])
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return Sum(whole, sum(record["lines"] for record in ordered), ledger)
