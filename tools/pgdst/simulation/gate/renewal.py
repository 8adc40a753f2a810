"""Renewal of idle connections before a run, so that it does not depend on what the run before left in them."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from psycopg._connection_base import BaseConnection

from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.protocol import Message
from pgdst.simulation.gate.session import Session

# It resets temporary tables, advisory locks, settings, prepared statements, cursors, LISTEN and currval().
_RENEW: Final = b"DISCARD ALL"
# It leaves the schema for temporary tables, and the names of an application's own settings. No view lists those, but
# they have a memory context of their own.
_LEFT: Final = b"""
    SELECT pg_my_temp_schema(), sum(used_bytes) FROM pg_backend_memory_contexts
    WHERE name IN ('GUCMemoryContext', 'GUC hash table')
"""
# The first code in PL/pgSQL, such as a trigger's, makes settings `plpgsql.…`, which stay. So it is run before.
_LOAD: Final = b"DO 'BEGIN END'"
_SETTINGS: Final = b"SELECT md5(string_agg(name || '=' || setting, ',' ORDER BY name)) FROM pg_settings"
# The locks on virtual transaction ids are listed in the order in which Postgres goes through its processes.
_PLACES: Final = b"""
    SELECT pid FROM pg_catalog.pg_lock_status() WITH ORDINALITY WHERE locktype = 'virtualxid' AND fastpath
    ORDER BY ordinality
"""
# Attributes of a psycopg connection that need no comparison: locks, and state that is empty between transactions or
# derived from the rest.
_PASSING: Final = {"pgconn", "lock", "_prepared", "_pipeline", "_begin_statement"}

# The attributes of a psycopg2 connection that show the state of its session.
_PSYCOPG2: Final = (
    *("autocommit", "isolation_level", "readonly", "deferrable", "encoding", "cursor_factory"),
    *("string_types", "binary_types", "notices", "notifies", "_isolation_setting"),
)

# The attributes of drivers for the level of the next transaction: psycopg's, those of other drivers and of SQLAlchemy's
# adapter for asyncpg. Where a client has used another level, SQLAlchemy leaves the server's default as an explicit one.
_LEVEL: Final = ("_isolation_level", "_read_only", "_deferrable")
_LEVEL_OF_OTHERS: Final = ("isolation_level", "_isolation_setting")

Rows = list[list[bytes | None]]
_State = tuple[Rows, Mapping[str, object], Mapping[Any, Any]]  # in the server, in the driver, in `info`


class _NotAnsweredError(Exception):
    """The session has ended, or the server answered with an error."""


@dataclass(frozen=True)
class Idle:
    """An idle connection of a pool: its session, the driver's connection, and SQLAlchemy's `connection.info`."""

    session: Session
    info: Mapping[Any, Any]
    drivers: Any


class Sessions:
    """The state of idle connections when they were new, and their places in the order of Postgres's processes.

    A statement that waits for several transactions one after another (CREATE INDEX CONCURRENTLY) uses this order.
    """

    def __init__(self, idle: Sequence[Idle]) -> None:
        self._new: dict[int, _State] | None
        with suppress(_NotAnsweredError):  # a role may not use the language
            _in_all([one.session for one in idle], _LOAD)
        self._new = _state(idle)
        self.places = _places_of([one.session for one in idle])

    def are_renewed(self, idle: Sequence[Idle]) -> bool:
        """Reset connections and their levels of isolation, and return whether all are in the state of new ones.

        State that neither a query nor psycopg shows is not reset: the seed of random(), memory of loaded libraries.
        """
        try:
            _in_all([one.session for one in idle], _RENEW)
        except _NotAnsweredError:  # a session has ended
            return False
        if self._new is None:
            return False
        for one in idle:
            if (new := self._new.get(one.session.pid)) is not None:
                _restore_level(one.drivers, new[1])
        return self._new == _state(idle)


def report_writes(sessions: Sequence[Session]) -> None:
    """Have idle sessions report now what they wrote: by themselves they do once a second, or when they end."""
    _in_all(sessions, b"SELECT pg_stat_force_next_flush()")


def is_prepared(session: Session) -> bool:
    """Return whether the application has changed settings of a new session, and reset them.

    An engine whose application does so in an event listener needs new connections for each run.
    """
    [before] = _in_all([session], _SETTINGS)
    _in_all([session], _RENEW)
    [after] = _in_all([session], _SETTINGS)
    return before != after


def _state(idle: Sequence[Idle]) -> dict[int, _State] | None:
    """Return the state of each connection by its pid: in the server, in the driver, and in `info`.

    Return None if the server refuses, as a role may lack the privilege.
    """
    try:
        left = _in_all([one.session for one in idle], _LEFT)
    except _NotAnsweredError:
        return None
    return {
        one.session.pid: (rows, _python_state(one.drivers), dict(one.info))
        for one, rows in zip(idle, left, strict=True)
    }


def _python_state(connection: Any) -> dict[str, object]:
    if isinstance(connection, BaseConnection):
        found = {name: value for name, value in vars(connection).items() if name not in _PASSING}
    else:
        found = {name: getattr(connection, name) for name in _PSYCOPG2 if hasattr(connection, name)}
    return {name: _copy(value) for name, value in found.items()}


def _restore_level(connection: Any, new: Mapping[str, object]) -> None:
    """Give a driver's connection the level of isolation that it had when it was new. Nothing is sent."""
    is_psycopg = isinstance(connection, BaseConnection)
    if not is_psycopg and getattr(connection, "autocommit", False):
        return  # psycopg2 would send the level at once, and nobody relays now
    for name in _LEVEL if is_psycopg else _LEVEL_OF_OTHERS:
        if name in new and getattr(connection, name) != new[name]:
            setattr(connection, name, new[name])
            if is_psycopg:
                connection._begin_statement = b""  # it is made of these


def _copy(value: object) -> object:
    """Return a copy of a value that may be mutable."""
    if isinstance(value, list | deque):
        return tuple(value)
    return dict(value) if isinstance(value, dict) else value


def _places_of(sessions: Sequence[Session]) -> dict[int, int]:
    if not sessions:
        return {}
    _in_all(sessions, b"BEGIN")
    [rows] = _in_all(sessions[:1], _PLACES)
    _in_all(sessions, b"ROLLBACK")
    return {int(pid or b"0"): place for place, [pid] in enumerate(rows)}


def _in_all(sessions: Sequence[Session], query: bytes) -> list[Rows]:
    """Execute a statement in all sessions at once, and return the rows of each. Raises: _NotAnsweredError."""
    try:
        for session in sessions:
            session.server.ask(protocol.query(query.decode()))
        answers = [list(_answer(session)) for session in sessions]  # all, before any is refused
    except OSError as error:
        raise _NotAnsweredError from error
    return [_rows(answer) for answer in answers]


def _answer(session: Session) -> Iterator[Message]:
    """Yield a whole answer of the server. Only changes of settings are passed on to the driver. Raises: OSError."""
    server = session.server
    try:
        while True:
            for message in server.arrived:
                yield message
                if message.kind == b"S":
                    session.tell(message)
                elif message.kind == b"Z":
                    return
            server.wait_for_more()
    finally:
        server.block_no_more()


def _rows(answer: Sequence[Message]) -> Rows:
    for message in answer:
        if message.kind == b"E":
            raise _NotAnsweredError(protocol.error_fields(message.body).get("M"))
    return [protocol.row(message.body) for message in answer if message.kind == b"D"]
