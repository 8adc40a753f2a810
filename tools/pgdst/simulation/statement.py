"""A statement and its answer in words that depend on the seed alone: no addresses, no process or transaction ids."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.abc import Params, Query

# What is longer is cut and ends with a hash of the whole.
LONGEST = 400

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def statement(query: Query, params: Params | Sequence[Params] | None, connection: Any) -> str:
    """Return a statement on one line, its parameters after it in the order of their names."""
    if isinstance(query, sql.Composable):
        text = query.as_string(connection)
    else:
        text = query.decode() if isinstance(query, bytes) else str(query)
    one_line = " ".join(text.split())
    return cut(f"{one_line} {_values(params)}" if params else one_line)


def outcome(cursor: Any) -> str:
    """Return what a statement came to, such as `UPDATE 1`, where there is a cursor to tell."""
    return (cursor.statusmessage if cursor is not None else None) or "done"


def digest(cursors: Sequence[Any], value: object) -> str:
    """Return a short hash of the rows of cursors, and of what a conversation returned itself; empty without any.

    A COPY returns bytes, a server-side cursor a list of rows, a stream of rows one result after another.
    """
    results = [result for cursor in cursors for result in cursor._results]
    if hasattr(value, "get_value"):
        results.append(value)
    rows: list[object] = [row for result in results for row in _rows_of(result)]
    if isinstance(value, bytes | bytearray | memoryview):
        rows.append(bytes(value))
    elif isinstance(value, list | tuple):
        rows.append(_ADDRESS.sub("", repr(value)))
    return f"#{hashlib.sha256(repr(rows).encode(errors='backslashreplace')).hexdigest()[:8]}" if rows else ""


def _rows_of(result: Any) -> list[list[bytes | None]]:
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]


def _values(params: Params | Sequence[Params]) -> str:
    if isinstance(params, Mapping):
        text = "{" + ", ".join(f"{name}: {params[name]!r}" for name in sorted(params)) + "}"
    else:
        text = "[" + ", ".join(_values(one) if isinstance(one, Mapping) else repr(one) for one in params) + "]"
    return _ADDRESS.sub("", text)


def cut(text: str) -> str:
    """Return a text, or its beginning and a hash of the whole where it is longer than LONGEST."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… {hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()[:16]}"
