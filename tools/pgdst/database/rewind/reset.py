"""A rewind brings a clone back to exactly the template's contents, or says why equality cannot be proved."""

import time
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgdst.database.rewind.baseline import MOST_WRITTEN_ROWS, OF_THE_SERVER, Baseline, Table
from pgdst.errors import ServerNotReadyError, SharedStateError
from pgdst.server.address import Server

# For the kit's own session. Replica: deleting rows fires no triggers or rules and checks no foreign keys. Read
# committed: each statement sees what was committed before it. Planned once: the plans depend on no value; all pages are
# in memory. Statistics: as they are now, not as they were when this transaction first asked. What fails is told to us,
# and nobody else.
SETTINGS = b"""
    SET session_replication_role = replica; SET default_transaction_isolation = 'read committed';
    SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1; SET stats_fetch_consistency = none;
    SET statement_timeout = '60s'; SET lock_timeout = '5ms'; SET log_min_messages = fatal
"""
SESSIONS_END_SECONDS = 15
POLL_SECONDS = 0.0003

SESSIONS = b"SELECT pid FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid()"

WHOSE = b"""
    SELECT format(
        '- pid %s%s, %s, last statement: %s', pid, ' of ' || nullif(application_name, ''), state, left(query, 80)
    )
    FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid() ORDER BY backend_start
"""
END_SESSIONS = b"""
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid()
"""
PREPARED = b"SELECT gid FROM pg_prepared_xact() WHERE dbid = $1"
NEXT = b"SELECT (pg_current_xact_id()::text::bigint + 1)::text"


@dataclass(frozen=True)
class State:
    """The counters of a clone, and the versions of the rows that belong to the whole server.

    `written` counts writes to the catalogues, `grown` the row versions that were written to anything.
    """

    written: int
    counted_since: str | None
    grown: int
    of_the_server: str


@dataclass(frozen=True)
class Found:
    """What the statements of the baseline have returned, all in one transaction.

    `catalogues` and `tables` are those that differ, `prepared` the names of two-phase transactions.
    """

    transaction: str
    catalogues: list[str]
    tables: set[str]
    prepared: list[str]
    state: State


class Clone:
    """A clone of a template, with a connection of the kit's own that stays open for the next rewind."""

    def __init__(self, server: Server, connection: psycopg.Connection, baseline: Baseline, *, beside: int = 0) -> None:
        self.server = server
        self.is_the_templates = True  # else it is rewound to what its borrower has made of it
        self.connection = connection
        self.baseline = baseline
        self.connection.execute(baseline.prepare, prepare=False)
        [(self.oid,)] = self._ask(b"SELECT oid::text FROM pg_database WHERE datname = current_database()")
        [(self.mark,)] = self._ask(NEXT)
        self.state = self._found_beside(beside).state

    def close(self) -> None:
        """Close the kit's connection."""
        self.connection.close()

    def rewind(self, beside: int | None = None) -> list[str]:
        """Bring rows and sequences back; return the other differences from the template, in words (none: it is equal).

        Every other session in the database is terminated first, and waited for: an open transaction, advisory locks,
        temporary tables, prepared statements and settings end with their session. With `beside`, so many of them stay,
        and none is terminated: the caller has seen that they are idle, as new, and have reported what they wrote
        (`pg_stat_force_next_flush`).

        Raises: ServerNotReadyError where a session does not end, or others than those `beside` stay; SharedStateError
        where roles or their settings were changed for the whole server; psycopg.Error where it could not be done, for
        example as a table is gone.
        """
        try:
            found = self._found_at_once() or self._found_once_alone() if beside is None else self._found_beside(beside)
        except psycopg.Error:
            self.require_shared_unchanged()
            raise
        before, self.state = self.state, found.state
        _require_equal(before.of_the_server, self.state.of_the_server)
        different = self._differences(before, found) + self._roll_back(found.prepared)
        return different or self._restore(found)

    def require_shared_unchanged(self) -> None:
        """Raise SharedStateError where `rewind` would, without a rewind: a kept clone may be the last one."""
        [(of_the_server,)] = self._ask(OF_THE_SERVER.encode())
        _require_equal(self.state.of_the_server, of_the_server)

    def _found_beside(self, sessions: int) -> Found:
        """Return what was found as soon as there are so many other sessions: those just closed take a moment to end."""
        deadline = time.monotonic() + SESSIONS_END_SECONDS
        while (found := self._found_at_once(sessions)) is None:
            if time.monotonic() > deadline:
                others = "\n".join(one for (one,) in self._ask(WHOSE, self.oid))
                raise ServerNotReadyError(
                    f"The database {self.server.database} should have {sessions} other sessions, and had these for "
                    f"{SESSIONS_END_SECONDS} s:\n{others}\nClose what else is connected to it, or has it prepared a "
                    "transaction for two-phase commit."
                )
            time.sleep(POLL_SECONDS)
        return found

    def _found_at_once(self, beside: int = 0) -> Found | None:
        """Return what was found, unless others are there, or a two-phase transaction holds a lock."""
        try:
            return self._found(beside)
        except (psycopg.errors.DivisionByZero, psycopg.errors.LockNotAvailable):
            return None

    def _found_once_alone(self) -> Found:
        self._end_sessions()
        prepared = self._roll_back([gid for (gid,) in self._ask(PREPARED, self.oid)])
        found = self._found()
        return replace(found, catalogues=[*prepared, *found.catalogues])

    def _found(self, beside: int = 0) -> Found:
        """Execute the statements of the baseline, in one transaction and one round trip."""
        calls = [f"EXECUTE pgdst_{name} ('{self.mark}', {self.oid}, {beside})" for name in ("alone", "delete", "prove")]
        cursor = self.connection.execute("; ".join(calls).encode(), prepare=False)
        rows = cursor.fetchall()
        while cursor.nextset():
            rows += cursor.fetchall()
        [_, (transaction, _), (catalogues, tables, prepared, *state, _)] = rows
        return Found(transaction, catalogues, set(tables), prepared, State(*state))

    def _differences(self, before: State, found: Found) -> list[str]:
        """Return what differs in anything but rows and sequences, or is too much, in words."""
        different = list(found.catalogues)
        if (before.written, before.counted_since) != (found.state.written, found.state.counted_since):
            different.append("a catalogue was written")
        if found.state.grown > MOST_WRITTEN_ROWS:
            different.append(f"{found.state.grown} row versions written")
        return different

    def _end_sessions(self) -> None:
        deadline = time.monotonic() + SESSIONS_END_SECONDS
        query = SESSIONS  # one that was closed just now is left a moment to end by itself: that logs no error
        while pids := [row[0] for row in self._ask(query, self.oid)]:
            if time.monotonic() > deadline:
                raise ServerNotReadyError(
                    f"Sessions of the database {self.server.database} did not end within {SESSIONS_END_SECONDS} s "
                    f"after pg_terminate_backend: {pids}. See the server's log for their statements."
                )
            time.sleep(POLL_SECONDS)
            query = END_SESSIONS

    def _roll_back(self, gids: list[str]) -> list[str]:
        """Roll back two-phase transactions: no session ends them, and the database could not even be dropped."""
        for gid in gids:
            self._ask(f"ROLLBACK PREPARED {psycopg.sql.Literal(gid).as_string()}".encode())
        return [f"the prepared transaction {gid}" for gid in gids]

    def _restore(self, found: Found) -> list[str]:
        """Put back the rows of seeded tables that are not as they were, and return those of which none are kept."""
        missing = [table for table in self.baseline.tables if table.name in found.tables]
        lost = sorted(found.tables - {table.name for table in missing if table.copy is not None})
        if lost:
            return lost
        self.mark = str(int(found.transaction) + 1)
        if missing:
            self._fill(missing)
            [(self.mark,)] = self._ask(NEXT)
        return []

    def _fill(self, tables: list[Table]) -> None:
        """Put back the rows of tables of which some were changed or deleted; all of them, in their first order."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM ONLY {table.name}".encode())  # noqa: S608  quoted by the server
                with cursor.copy(f"COPY {table.name} FROM STDIN".encode()) as copy:
                    copy.write(table.copy or b"")

    def _ask(self, query: bytes, *parameters: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(query, parameters, prepare=True)
        return cursor.fetchall() if cursor.description else []


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
