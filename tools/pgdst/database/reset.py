"""A rewind: a clone back to exactly the template's contents, or word that it cannot be proved equal."""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from pgdst.database.baseline import MOST_WRITTEN_ROWS, NEXT, Baseline, Table
from pgdst.errors import ServerNotReadyError, SharedStateError
from pgdst.server.address import Server

# For the kit's own session. Replica: deleting rows fires no triggers or rules and checks no foreign keys. Planned once:
# the plans depend on no value. Statistics: as they are now, not as they were when this transaction first asked.
SETTINGS = b"""
    SET session_replication_role = replica; SET plan_cache_mode = force_generic_plan;
    SET stats_fetch_consistency = none; SET statement_timeout = '60s'
"""
SESSIONS_END_SECONDS = 15
POLL_SECONDS = 0.0003

SESSIONS = b"SELECT pid FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid()"
END_SESSIONS = b"""
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid()
"""
MARK = f"SELECT {NEXT}".encode()


@dataclass(frozen=True)
class State:
    """Who else is in a clone, its counters, and the versions of the rows that belong to the whole server.

    `sessions` are the processes of the other sessions, `prepared` the names of two-phase transactions; `written` counts
    writes to the catalogues, `grown` row versions in what grows.
    """

    sessions: list[int]
    prepared: list[str]
    written: int
    counted_since: str | None
    grown: int
    of_the_server: str


class Clone:
    """A clone of a template, with a connection of the kit's own that stays open for the next rewind."""

    def __init__(self, server: Server, connection: psycopg.Connection, baseline: Baseline) -> None:
        self.server = server
        self.connection = connection
        self.baseline = baseline
        [(self.oid,)] = self._ask(b"SELECT oid::text FROM pg_database WHERE datname = current_database()")
        [(self.mark,)] = self._ask(MARK)
        self.state = self._state()

    def close(self) -> None:
        """Close the kit's connection."""
        self.connection.close()

    def rewind(self) -> list[str]:
        """Bring the rows and sequences back, and return what is not as in the template: nothing, or what to name.

        Every other session in the database is ended first, and waited for: what belongs to a session (an open
        transaction, advisory locks, temporary tables, prepared statements, settings) ends with it.

        Raises: ServerNotReadyError where a session does not end; SharedStateError where roles or their settings were
        changed for the whole server.
        """
        before = self.state
        different = self._look()
        if not different:
            different = self._restore()
        _require_equal(before.of_the_server, self.state.of_the_server)
        return different

    def require_shared_unchanged(self) -> None:
        """Rewind nothing, and raise SharedStateError where `rewind` would: a clone that is kept may be the last one."""
        _require_equal(self.state.of_the_server, self._state().of_the_server)

    def _look(self) -> list[str]:
        """Return what differs in anything but rows and sequences, or is too much, in words."""
        before = self.state
        self.state, different = self._look_at_once()
        if self.state.sessions:  # what was seen was before their end
            self._end_sessions()
            self.state, different = self._look_at_once()
        if (before.written, before.counted_since) != (self.state.written, self.state.counted_since):
            different.append("a catalogue was written")
        if self.state.grown > MOST_WRITTEN_ROWS:
            different.append(f"{self.state.grown} row versions written")
        return different + self._roll_back(self.state.prepared)

    def _look_at_once(self) -> tuple[State, list[str]]:
        """Return the state and what differs in the catalogues, in one round trip.

        Nothing in it waits for a lock that a session could hold on a table.
        """
        with self.connection.pipeline():
            state = self._send(self.baseline.state, self.oid)
            look = self._send(self.baseline.look, self.mark, self.oid)
        return _read_state(state.fetchall()), [what for (what,) in look.fetchall()]

    def _end_sessions(self) -> None:
        deadline = time.monotonic() + SESSIONS_END_SECONDS
        query = SESSIONS  # one that was closed just now is left a moment to end by itself: that logs no error
        while pids := [row[0] for row in self._ask(query, self.oid)]:
            if time.monotonic() > deadline:
                raise ServerNotReadyError(
                    f"Sessions of the database {self.server.database} did not end within "
                    f"{SESSIONS_END_SECONDS} s of being told to: {pids}. See the server's log for what they do."
                )
            time.sleep(POLL_SECONDS)
            query = END_SESSIONS

    def _roll_back(self, gids: list[str]) -> list[str]:
        """Roll back two-phase transactions: no session ends them, and the database could not even be dropped."""
        for gid in gids:
            self._ask(f"ROLLBACK PREPARED {psycopg.sql.Literal(gid).as_string()}".encode())
        return [f"the prepared transaction {gid}" for gid in gids]

    def _restore(self) -> list[str]:
        with self.connection.pipeline():
            rewound = self._send(self.baseline.rewind, self.mark)
            verified = self._send(self.baseline.verify, self.mark)
        [(_, mark)] = rewound.fetchall()
        different = {name for (name,) in verified.fetchall()}
        missing = [table for table in self.baseline.tables if table.name in different]
        lost = sorted(different - {table.name for table in missing if table.copy is not None})
        if lost:
            return lost
        if missing:
            self._fill(missing)
            [(mark,)] = self._ask(MARK)
        self.mark = mark
        return []

    def _fill(self, tables: list[Table]) -> None:
        """Put back the rows of tables of which some were changed or deleted; all of them, in their first order."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM ONLY {table.name}".encode())  # noqa: S608  quoted by the server
                with cursor.copy(f"COPY {table.name} FROM STDIN".encode()) as copy:
                    copy.write(table.copy or b"")

    def _state(self) -> State:
        return _read_state(self._ask(self.baseline.state, self.oid))

    def _ask(self, query: bytes, *parameters: str) -> list[tuple[Any, ...]]:
        cursor = self._send(query, *parameters)
        return cursor.fetchall() if cursor.description else []

    def _send(self, query: bytes, *parameters: str) -> psycopg.Cursor[tuple[Any, ...]]:
        return self.connection.execute(query, parameters, prepare=True)


def _read_state(rows: list[tuple[Any, ...]]) -> State:
    [(sessions, prepared, written, since, grown, of_the_server)] = rows
    return State(sessions, prepared, int(written), since, int(grown), of_the_server)


def _require_equal(before: str, after: str) -> None:
    if before != after:
        raise SharedStateError(_shared(before, after))


def _shared(before: str, after: str) -> str:
    changed = sorted({row.split()[0] for row in set(before.split(", ")) ^ set(after.split(", "))})
    return (
        f"What all databases of the server share was changed ({', '.join(changed)}) and not put back, by whoever used "
        "this database or another one meanwhile: a role, or its settings, memberships or grants. No clone undoes "
        "that. Undo it in the test that does it: DROP ROLE, ALTER ROLE … RESET ALL, REVOKE."
    )
