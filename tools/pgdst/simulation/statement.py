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
    return _cut(f"{one_line} {_values(params)}" if params else one_line)


def outcome(cursor: Any) -> str:
    """Return what a statement came to, such as `UPDATE 1`, where there is a cursor to tell."""
    return (cursor.statusmessage if cursor is not None else None) or "done"


def _values(params: Params | Sequence[Params]) -> str:
    if isinstance(params, Mapping):
        text = "{" + ", ".join(f"{name}: {params[name]!r}" for name in sorted(params)) + "}"
    else:
        text = "[" + ", ".join(_values(one) if isinstance(one, Mapping) else repr(one) for one in params) + "]"
    return _ADDRESS.sub("", text)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… {hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()[:16]}"
