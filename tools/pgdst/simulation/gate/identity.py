"""The identity of a client: requests to a backend in another process carry it, and its statements repeat it.

A request has two headers, of which the backend needs one. It copies the value into a comment of each statement, by the
convention of sqlcommenter: `SELECT 1 /*pgdst_client='ada'*/`, or with the `traceparent` of W3C Trace Context, which
OpenTelemetry's instrumentation of SQLAlchemy, psycopg2 and Django writes by itself.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

HEADER: Final = "x-pgdst-client"
TRACEPARENT: Final = "traceparent"
_COMMENT: Final = re.compile(r"\s*/\*((?:[^*]|\*(?!/))*)\*/")
_PAIR: Final = re.compile(r"\b(pgdst_client|traceparent)='((?:[^'\\]|\\.)*)'")


def headers(name: str) -> dict[str, str]:
    """Return the headers that name a client."""
    return {HEADER: name, TRACEPARENT: f"00-{_trace_id(name)}-{'1'.zfill(16)}-01"}


def said(text: str) -> tuple[str, str]:
    """Return a statement without the comment that names a client, and the value in that comment ("" without one)."""
    if "='" not in text:
        return text, ""
    for comment in _COMMENT.finditer(text):
        found = dict(_PAIR.findall(comment[1]))
        if named := unquote(found.get("pgdst_client", "")) or found.get("traceparent", ""):
            return text[: comment.start()] + text[comment.end() :], named
    return text, ""


def who(named: str, names: Iterable[str]) -> str | None:
    """Return the client that a comment's value names, or None if it is none of these."""
    for name in names:
        if named == name or _trace_id(name) in named.split("-"):
            return name
    return None


def _trace_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
