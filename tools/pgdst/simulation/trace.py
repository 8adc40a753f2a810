"""What happened in a run, line by line, and the hash that is the run's identity."""

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

    Only what the seed determines belongs into a line: no process ids, no transaction ids, no wall time, no memory
    addresses. Two runs are the same run when their hashes are equal; their lines say where they first differ.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._later: list[str] | None = None  # what came after its end
        self._hash = hashlib.sha256()
        self._hashed = 0  # lines; a line is hashed when somebody asks, and not in the middle of a step

    @property
    def lines(self) -> tuple[str, ...]:
        """The events so far, in the order in which they happened."""
        return tuple(self._lines)

    @property
    def all_lines(self) -> tuple[str, ...]:
        """The events, and what came after the end of the trace."""
        return (*self._lines, *(self._later or ()))

    def end(self) -> None:
        """Let what is added from now on be no part of the run: kept, but not in its lines and its hash."""
        self._later = [] if self._later is None else self._later

    def append(self, line: str) -> None:
        """Add one event; a line break in it is written as an escape, so that an event is always one line.

        Lone surrogates, which a request may carry and UTF-8 may not, are escaped in the hash.
        """
        self._add(line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r"))

    def _add(self, one_line: str) -> None:
        if self._later is not None:
            self._later.append(one_line)
            return
        self._lines.append(one_line)

    def extend(self, other: "Trace") -> None:
        """Add the events of another trace, such as of a run of several clients within a longer one."""
        for line in other._lines:
            self._add(line)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all lines so far, in hexadecimal."""
        for line in self._lines[self._hashed :]:
            self._hash.update(line.encode(errors="backslashreplace") + b"\n")
        self._hashed = len(self._lines)
        return self._hash.hexdigest()

    def first_difference(self, other: "Trace") -> "Difference | None":
        """Return the first line at which two runs part, or None when they are the same run."""
        return first_difference(self._lines, other._lines)


@dataclass(frozen=True)
class Difference:
    """The first line at which two lists of a trace's lines part, from 1; a list that has ended before has None.

    `before` are lines before it, the same in both; `after` how the one and the other go on.
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
        """Return it with the lines before, which say what each step could have been, and after."""
        first = self.line - len(self.before)
        same = [f"  {number}  {line}" for number, line in enumerate(self.before, start=first)]
        here, there = (
            [f"{mark} {self.line + number}  {line}" for number, line in enumerate([parts, *after]) if line is not None]
            for mark, parts, after in (("<", self.here, self.after[0]), (">", self.there, self.after[1]))
        )
        return "\n".join([*same, *(here or ["< it has ended"]), "---", *(there or ["> it has ended"])])


def first_difference(mine: Sequence[str], theirs: Sequence[str]) -> Difference | None:
    """Return the first line at which two lists of a trace's lines part, or None when they are equal."""
    for number, (one, other) in enumerate(zip_longest(mine, theirs)):
        if one != other:
            after = (tuple(mine[number + 1 :][:_AFTER]), tuple(theirs[number + 1 :][:_AFTER]))
            return Difference(number + 1, one, other, tuple(mine[max(0, number - _BEFORE) : number]), after)
    return None
