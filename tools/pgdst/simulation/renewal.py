"""Sessions of idle connections, as new ones: what a run leaves in a session must not decide the next."""

from collections.abc import Sequence

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from pgdst.simulation.connection import Gated

# Temporary tables, advisory locks, settings, prepared statements, cursors, LISTEN, what sequences have given out.
_RENEW = b"DISCARD ALL"
# Postgres lists the transactions' own numbers, which are locks, in the order in which it goes through its processes.
_PLACES = b"""
    SELECT pid FROM pg_catalog.pg_lock_status() WITH ORDINALITY WHERE locktype = 'virtualxid' AND fastpath
    ORDER BY ordinality
"""


def renew(connections: Sequence[Gated]) -> bool:
    """Bring idle connections' sessions to where new ones are, but for what SQL cannot see; return whether all are."""
    try:
        return all(result.status == ExecStatus.COMMAND_OK for result in _in_all(connections, _RENEW))
    except psycopg.OperationalError:  # somebody has ended one
        return False


def places_of(connections: Sequence[Gated]) -> dict[int, int]:
    """Return for each connection's process its place in the order in which Postgres goes through processes.

    Who waits for several transactions one after another (CREATE INDEX CONCURRENTLY) waits in this order.
    """
    if not connections:
        return {}
    _in_all(connections, b"BEGIN")
    [result] = _in_all(connections[:1], _PLACES)
    _in_all(connections, b"ROLLBACK")
    pids = [int(result.get_value(row, 0) or b"0") for row in range(result.ntuples)]
    return {pid: place for place, pid in enumerate(pids)}


def _in_all(connections: Sequence[Gated], query: bytes) -> list[PGresult]:
    """Execute a statement in all sessions at once, and return its results."""
    for connection in connections:
        connection.pgconn.send_query(query)
    return [_result(connection.pgconn) for connection in connections]


def _result(pgconn: PGconn) -> PGresult:
    found = list(iter(pgconn.get_result, None))
    return found[-1] if found else pgconn.make_empty_result(ExecStatus.FATAL_ERROR)
