"""The trace of a run: one line an event, and the hash that identifies the run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

# How many lines of two runs are shown before the first that differs, and after it.
_BEFORE: Final = 20
_AFTER: Final = 4


class Trace:
    """An append-only list of events.

    A line has only facts that the seed determines: no process ids, no transaction ids, no wall time, no memory
    addresses. Two runs are the same run if their hashes are equal. Otherwise their lines show where they first differ.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._later: list[str] | None = None  # lines added after `end`
        self._hash = hashlib.sha256()
        self._hashed = 0  # lines; a line is hashed when somebody asks, and not in the middle of a step

    @property
    def lines(self) -> tuple[str, ...]:
        """The events so far, in the order in which they happened."""
        return tuple(self._lines)

    @property
    def all_lines(self) -> tuple[str, ...]:
        """The events, followed by those added after `end`."""
        return (*self._lines, *(self._later or ()))

    def end(self) -> None:
        """Keep lines that are added from now on apart: in `all_lines`, but neither in `lines` nor in the hash."""
        self._later = [] if self._later is None else self._later

    def append(self, line: str) -> None:
        """Add one event. A line break in it is written as an escape, so that an event is always one line.

        Lone surrogates, which a request may contain but UTF-8 can't encode, are escaped in the hash.
        """
        self._add(line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r"))

    def _add(self, one_line: str) -> None:
        if self._later is not None:
            self._later.append(one_line)
            return
        self._lines.append(one_line)

    def extend(self, other: "Trace") -> None:
        """Add the events of another trace, such as that of one run of several clients in a longer test."""
        for line in other._lines:
            self._add(line)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all lines so far, in hexadecimal."""
        for line in self._lines[self._hashed :]:
            self._hash.update(line.encode(errors="backslashreplace") + b"\n")
        self._hashed = len(self._lines)
        return self._hash.hexdigest()

    def first_difference(self, other: "Trace") -> "Difference | None":
        """Return the first line at which two runs differ, or None if they are the same run."""
        return first_difference(self._lines, other._lines)


@dataclass(frozen=True)
class Difference:
    """The first line at which two traces differ: its number, from 1, and its text in both (None after a trace's end).

    `before` are the lines before it, which are equal in both; `after` are the lines that follow in either.
    """

    line: int
    here: str | None
    there: str | None
    before: tuple[str, ...] = ()
    after: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def __str__(self) -> str:
        """Return the line, and both versions."""
        return f"line {self.line}: {self.here!r} here, {self.there!r} there"

    def in_context(self) -> str:
        """Return the difference with the lines before and after it."""
        first = self.line - len(self.before)
        same = [f"  {number}  {line}" for number, line in enumerate(self.before, start=first)]
        here, there = (
            [f"{mark} {self.line + number}  {line}" for number, line in enumerate([parts, *after]) if line is not None]
            for mark, parts, after in (("<", self.here, self.after[0]), (">", self.there, self.after[1]))
        )
        return "\n".join([*same, *(here or ["< it has ended"]), "---", *(there or ["> it has ended"])])


def first_difference(mine: Sequence[str], theirs: Sequence[str]) -> Difference | None:
    """Return the first line at which two traces differ, or None if they are equal."""
    for number, (one, other) in enumerate(zip_longest(mine, theirs)):
        if one != other:
            after = (tuple(mine[number + 1 :][:_AFTER]), tuple(theirs[number + 1 :][:_AFTER]))
            return Difference(number + 1, one, other, tuple(mine[max(0, number - _BEFORE) : number]), after)
    return None
