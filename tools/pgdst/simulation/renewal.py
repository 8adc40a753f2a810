"""Sessions of idle connections, as new ones: what a run leaves in a session must not decide the next."""

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from pgdst.simulation.connection import Gated

# Temporary tables, advisory locks, settings, prepared statements, cursors, LISTEN, what sequences have given out.
_RENEW: Final = b"DISCARD ALL"
# What it leaves: the schema of temporary tables, and the names of an application's own settings, which Postgres lists
# nowhere but keeps in memory of their own.
_LEFT: Final = b"""
    SELECT pg_my_temp_schema(), sum(used_bytes) FROM pg_backend_memory_contexts
    WHERE name IN ('GUCMemoryContext', 'GUC hash table')
"""
# Postgres lists the transactions' own numbers, which are locks, in the order in which it goes through its processes.
_PLACES: Final = b"""
    SELECT pid FROM pg_catalog.pg_lock_status() WITH ORDINALITY WHERE locktype = 'virtualxid' AND fastpath
    ORDER BY ordinality
"""

Rows = list[list[bytes | None]]


class Sessions:
    """The idle sessions of an engine's pool, looked at when they were new."""

    def __init__(self, connections: Sequence[Gated]) -> None:
        self._new = dict(zip(_backends(connections), _left(connections), strict=True))
        self._places = _places_of(connections)

    def renew(self, connections: Sequence[Gated]) -> bool:
        """Bring the sessions of these connections to where they were when they were new; return whether they are there.

        What no query shows stays: the seed of random(), what libraries that were loaded keep.
        """
        try:
            _in_all(connections, _RENEW)
            left = dict(zip(_backends(connections), _left(connections), strict=True))
        except psycopg.OperationalError:  # somebody has ended one
            return False
        return left == self._new

    def place_of(self, connection: Gated) -> int:
        """Return where its process is in the order in which Postgres goes through processes.

        Who waits for several transactions one after another (CREATE INDEX CONCURRENTLY) waits in this order.
        """
        return self._places[connection.standing.backend]


def _backends(connections: Sequence[Gated]) -> list[int]:
    return [connection.standing.backend for connection in connections]


def _left(connections: Sequence[Gated]) -> list[Rows]:
    return _in_all(connections, _LEFT)


def _places_of(connections: Sequence[Gated]) -> dict[int, int]:
    if not connections:
        return {}
    _in_all(connections, b"BEGIN")
    [rows] = _in_all(connections[:1], _PLACES)
    _in_all(connections, b"ROLLBACK")
    return {int(pid or b"0"): place for place, [pid] in enumerate(rows)}


def _in_all(connections: Sequence[Gated], query: bytes) -> list[Rows]:
    """Execute a statement in all sessions at once, and return the rows of each. Raises: psycopg.OperationalError."""
    for connection in connections:
        connection.pgconn.send_query(query)
    return [_rows(_result(connection.pgconn)) for connection in connections]


def _result(pgconn: PGconn) -> PGresult:
    found = list(iter(pgconn.get_result, None))
    if not found or found[-1].status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.OperationalError(pgconn.get_error_message())
    return found[-1]


def _rows(result: PGresult) -> Rows:
    return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
