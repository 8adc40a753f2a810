"""The shards of a search, their numbers, and who takes them.

With K shards in a run, extensions aside, shard k of a search of seed S is shard k % K of the run of seed S + k // K.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Final

_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
_SHARE: Final = re.compile(r"(\d{1,5})/(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A shard as `make test-dst SEED= SHARD=` names it: the seed of its run, and its index in that run."""

    seed: int
    index: int


def place_of(shard: int, seed: int, shards_a_run: int) -> Place:
    """Return the place of a search's shard. `seed` is the search's."""
    return Place(seed + shard // shards_a_run, shard % shards_a_run)


@dataclass(frozen=True)
class Range:
    """The shards from `first` to `last`, inclusive; without an end if `last` is None."""

    first: int = 0
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Return the range `a-b`. Raises: ValueError."""
        found = _RANGE.fullmatch(text)
        if found is None or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is no range of shards. Write the first and the last, from 0: 0-63.")
        return cls(int(found[1]), int(found[2]))

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the shards."""
        return takewhile(lambda shard: self.last is None or shard <= self.last, count(self.first))

    def __str__(self) -> str:
        """Return it as it was written."""
        return f"{self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True)
class Share:
    """The part of a search that one process or job takes: the shards k with k % of == number - 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Return the share `i/n`. Raises: ValueError."""
        found = _SHARE.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"{text!r} is no share. Write its number, from 1, and how many there are: 1/8.")
        return cls(int(found[1]), int(found[2]))

    def __contains__(self, shard: int) -> bool:
        """Tell whether a shard belongs to this share."""
        return shard % self.of == self.number - 1

    def __str__(self) -> str:
        """Return it as it was written."""
        return f"{self.number}/{self.of}"


def in_words(shards: Iterable[int]) -> str:
    """Return the numbers of shards with ranges for those that follow each other, such as `0-3, 7`."""
    found: list[list[int]] = []
    for shard in sorted(shards):
        if found and found[-1][1] == shard - 1:
            found[-1][1] = shard
        else:
            found.append([shard, shard])
    return ", ".join(span(*one) for one in found)


def span(first: int, last: int) -> str:
    """Return the first and the last of a range, or a single number."""
    return f"{first}-{last}" if first < last else f"{first}"
