"""What happened in a run, line by line, and the hash that is the run's identity."""

import hashlib
from collections.abc import Sequence
from itertools import zip_longest


class Trace:
    """An append-only list of events.

    Only what the seed determines belongs into a line: no process ids, no transaction ids, no wall time, no memory
    addresses. Two runs are the same run when their hashes are equal; their lines say where they first differ.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._hash = hashlib.sha256()

    @property
    def lines(self) -> tuple[str, ...]:
        """The events so far, in the order in which they happened."""
        return tuple(self._lines)

    def append(self, line: str) -> None:
        """Add one event; a line break in it is written as an escape, so that an event is always one line.

        Lone surrogates, which a request may carry and UTF-8 may not, are escaped in the hash.
        """
        self._add(line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r"))

    def _add(self, one_line: str) -> None:
        self._lines.append(one_line)
        self._hash.update(one_line.encode(errors="backslashreplace") + b"\n")

    def extend(self, other: "Trace") -> None:
        """Add the events of another trace, such as of a run of several clients within a longer one."""
        for line in other._lines:
            self._add(line)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all lines so far, in hexadecimal."""
        return self._hash.hexdigest()

    def first_difference(self, other: "Trace") -> str | None:
        """Return the first line at which two runs part, both versions, or None when they are the same run."""
        return first_difference(self._lines, other._lines)


def first_difference(mine: Sequence[str], theirs: Sequence[str]) -> str | None:
    """Return the first line at which two lists of a trace's lines part, both versions, or None when they are equal."""
    return next(
        (
            f"line {number}: {one!r} here, {other!r} there"
            for number, (one, other) in enumerate(zip_longest(mine, theirs), start=1)
            if one != other
        ),
        None,
    )
