"""The rows of an answer: how many they are, a hash of all, and the first ones for reports."""

import hashlib
from typing import Final

from pgdst.simulation.gate import protocol

_KEPT: Final = 8
_LONGEST: Final = 4096  # bytes of a row that is kept


class Rows:
    """The rows that a server has sent. They are kept as bytes, and decoded only for a report.

    `described` is the RowDescription that came before them, `formats` are the formats that the driver asked for where
    that does not say them.
    """

    def __init__(self, described: bytes = b"", formats: tuple[int, ...] = ()) -> None:
        self.count = 0
        self._described, self._formats = described, formats
        self._first: list[bytes] = []
        self._hash = hashlib.sha256()

    def add(self, body: bytes) -> None:
        """Add a DataRow."""
        self.count += 1
        self._hash.update(body)
        if len(self._first) < _KEPT and len(body) <= _LONGEST:
            self._first.append(body)

    def forget_columns(self) -> None:
        """Show no names and types from now on, as the rows are of several statements."""
        self._described = b""

    @property
    def digest(self) -> str:
        """The first eight hexadecimal digits of the SHA-256 of all rows."""
        return self._hash.hexdigest()[:8]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, if they are known."""
        return tuple(column.name for column in self._columns())

    @property
    def values(self) -> list[tuple[str, ...]]:
        """The first rows, with each value in words. Very long rows are left out."""
        columns = self._columns()
        try:
            return [tuple(_values(body, columns)) for body in self._first]
        except protocol.ProtocolError:
            return []

    def _columns(self) -> list[protocol.Column]:
        try:
            return protocol.columns(self._described, self._formats) if self._described else []
        except protocol.ProtocolError:
            return []


def _values(body: bytes, columns: list[protocol.Column]) -> list[str]:
    found = protocol.row(body)
    known = [*columns, *[protocol.Column("?", 0, is_binary=False)] * (len(found) - len(columns))]
    return [protocol.in_words(value, one.type, one.is_binary) for value, one in zip(found, known, strict=False)]
