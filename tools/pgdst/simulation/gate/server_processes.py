"""The server processes of the clients: asking Postgres about them, and stopping them by signals."""

import os
import select
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from signal import SIGINT, SIGTERM, Signals

import psycopg
from psycopg import waiting
from psycopg.errors import LockNotAvailable, _WaitTimeout
from psycopg.generators import execute
from psycopg.pq.abc import PGresult

from pgdst.errors import InconclusiveError, ServerUnreachableError
from pgdst.server.address import Server, require_ours
from pgdst.server.processes import Processes, processes_of

# An answer normally takes 0.1 ms. If it takes longer than this, the process that was stopped last may hold one of the
# locks that guard Postgres's shared memory.
SUSPICIOUS_SECONDS = 0.25
_TRIES = 20
ENDS_SECONDS = 5.0
_RECOVERS_SECONDS = 30.0

_BLOCKERS = b"""
    SELECT pid, pg_blocking_pids(pid) || pg_safe_snapshot_blocking_pids(pid)
    FROM unnest($1::int[]) AS pid
"""
_LOCKS = """
    SELECT concat_ws(' ', locktype, database, relation, classid, objid), bool_or(mode <> 'AccessShareLock')
    FROM pg_locks WHERE pid = %s AND (locktype = 'advisory' OR locktype = 'relation' AND relation >= 16384) GROUP BY 1
"""
_ACTIVITY = """
    SELECT state, wait_event_type, wait_event, query FROM pg_stat_activity WHERE pid = %s
"""
# A commit flushes the write-ahead log up to its own record, and this is the smallest transaction that writes one.
_FLUSH = "SELECT pg_logical_emit_message(true, 'pgdst', '')"
# The write-ahead log is up to 32 numbers ahead of a sequence. How many of them a crash skips depends on the time of the
# last checkpoint. Here it is always the greatest number that Postgres may skip.
_SEQUENCES = "SELECT seqrelid FROM pg_sequence JOIN pg_class ON oid = seqrelid WHERE relpersistence = 'p' ORDER BY 1"
_AHEAD_OF_SEQUENCE = """
    SELECT greatest(least(pg_sequence_last_value(seqrelid)::numeric + 32 * seqincrement, seqmax), seqmin)::bigint
    FROM pg_sequence WHERE seqrelid = %s AND pg_sequence_last_value(seqrelid) IS NOT NULL
"""
_SET_SEQUENCE = "SELECT setval(oid, %s) FROM pg_class WHERE oid = %s"
# A transaction that restarts a sequence holds a lock on it, and setval would wait for the client that the fault hits.
_LOCK_TIMEOUT = "SET lock_timeout = '10ms'"


class ServerProcesses:
    """The processes that serve the sessions of one server, by their pids.

    They are observed through a connection of this object's own, and stopped by signals.
    """

    def __init__(self, server: Server, signals: Processes) -> None:
        self.server = server
        self._observer = self._connect()
        self._signals = signals
        self._frozen: set[int] = set()
        # A client's thread may be asking while the scheduler gives the run up.
        self._lock = threading.Lock()
        self._suspect: int | None = None  # stopped since the last question

    def blockers(self, *pids: int) -> dict[int, frozenset[int]]:
        """Return for each pid the pids that it waits for; an empty set if it does not wait for a lock.

        Raises: InconclusiveError, if a stopped process keeps the observer from asking.
        Source: pg_blocking_pids and pg_safe_snapshot_blocking_pids; 0 stands for a prepared transaction.
        """
        with self._lock:
            return self._ask_for_blockers(pids)

    def _ask_for_blockers(self, pids: Iterable[int]) -> dict[int, frozenset[int]]:
        result = self._ask([_array(pids)])
        return dict(_row(result, number) for number in range(result.ntuples))

    def _ask(self, parameters: list[bytes]) -> PGresult:
        if self._suspect is None:
            return self._observer.pgconn.exec_prepared(b"blockers", parameters)
        for _attempt in range(_TRIES):
            self._observer.pgconn.send_query_prepared(b"blockers", parameters)
            try:
                [result] = self._answer(SUSPICIOUS_SECONDS)
            except _WaitTimeout:
                self._let_go_and_stop_again()
            else:
                self._suspect = None
                return result
        raise InconclusiveError(
            f"The server process {self._suspect} holds an internal lock of Postgres wherever it is stopped."
        )

    def locks(self, pid: int) -> frozenset[tuple[str, bool]]:
        """Return what a process locks: each relation and advisory lock, and whether to do more than read."""
        with self._lock:
            return frozenset(self._observer.execute(_LOCKS, (pid,)).fetchall())

    def freeze(self, pid: int) -> None:
        """Stop a server process that waits for a lock, so that it does not go on when the lock is released."""
        with self._lock:
            self._signals.stop(pid)
            self._frozen.add(pid)
            self._suspect = pid

    def signalled(self, *pids: int) -> dict[int, Signals | None]:
        """Return which signal will end the wait of each stopped process: SIGTERM, SIGINT or none.

        Where the machine does not tell, that process is left out.
        """
        with self._lock:
            pending = self._signals.pending(*pids)
        return {pid: next((one for one in (SIGTERM, SIGINT) if one in found), None) for pid, found in pending.items()}

    def _connect(self) -> psycopg.Connection:
        """Return a new observer, once the server accepts it. Raises: InconclusiveError, ForeignServerError."""
        deadline = time.monotonic() + _RECOVERS_SECONDS
        while True:
            try:
                observer = self.server.with_database("postgres").connect()
                break
            except ServerUnreachableError as error:
                if time.monotonic() > deadline:
                    raise InconclusiveError(f"The server did not recover within {_RECOVERS_SECONDS:g} s.") from error
                time.sleep(0.005)
        require_ours(observer, self.server.run_id)
        # libpq is used directly: the query runs several times a step, and psycopg would double its time.
        observer.pgconn.prepare(b"blockers", _BLOCKERS)
        return observer

    def _let_go_and_stop_again(self) -> None:
        """Let the suspect go on, and stop it again: its deadlock check may have been holding internal locks."""
        assert self._suspect is not None
        self._signals.resume(self._suspect)
        self._answer(None)
        self._signals.stop(self._suspect)

    def _answer(self, timeout_seconds: float | None) -> list[PGresult]:
        pgconn = self._observer.pgconn
        return waiting.wait(execute(pgconn), pgconn.socket, timeout=timeout_seconds)

    def thaw(self, *pids: int) -> None:
        """Let those of these server processes that are stopped go on."""
        with self._lock:
            stopped = self._frozen.intersection(pids)
            if stopped:
                self._signals.resume(*sorted(stopped))
                self._frozen -= stopped
            if self._suspect in stopped:
                self._suspect = None

    def thaw_all(self) -> None:
        """Let every server process go on."""
        self.thaw(*self._frozen)

    def activity(self, pid: int) -> str:
        """Return a server process's line in pg_stat_activity, in words."""
        with self._lock:
            row = self._observer.execute(_ACTIVITY, (pid,)).fetchone()
        if row is None:
            return "its server process has ended"
        state, wait_type, wait, query = row
        return f"its server process is {state}, waiting for {wait_type or 'nothing'}: {wait or '-'}, query: {query}"

    def cancel(self, pid: int) -> None:
        """Cancel a server process's statement."""
        with self._lock:
            self._observer.execute("SELECT pg_cancel_backend(%s)", (pid,))

    def crash(self, pid: int, databases: Sequence[str]) -> None:
        """Kill a server process, so that the server ends all others and recovers; return when it answers again.

        The write-ahead log is flushed before, so that the tables do not depend on what the server had flushed by
        itself. Sequences of these databases skip the greatest number of values that a crash can make them skip.

        Raises: InconclusiveError, if it does not answer again.
        """
        ahead = {name: self._ahead_of_sequences(name) for name in databases}
        own = self._observer.info.backend_pid
        with ExitStack() as stack, self._lock:
            if not self._has(pid):
                # An earlier crash has ended it, and its client has not noticed yet. Kill another process instead, but
                # not the observer: the end of its connection must show that the server has noticed the crash, and a
                # killed process's own connection ends before that.
                other = stack.enter_context(closing(self.server.with_database("postgres").connect()))
                pid = other.info.backend_pid
            self._ask_for_blockers([own])  # so no stopped process blocks the observer's next transaction
            self._observer.execute(_FLUSH)
            self._signals.kill(pid)
            # Kill the stopped processes too: resumed they might still write, and stopped they would delay the recovery.
            for one in sorted(self._frozen - {pid}):
                self._signals.kill(one)
            self._frozen.clear()
            self._suspect = None
            _wait_until_closed(self._observer)
            self._observer.close()
            self._observer = self._connect()
        for name, sequences in ahead.items():
            self._set_sequences(name, sequences)

    def _ahead_of_sequences(self, database: str) -> list[tuple[int, int]]:
        """Return the used sequences of a database: the oid of each, and the value to set it to.

        A sequence that an open transaction is restarting is left out.
        """
        ahead = []
        with closing(self.server.with_database(database).connect()) as connection:
            connection.execute(_LOCK_TIMEOUT)
            for (oid,) in connection.execute(_SEQUENCES).fetchall():
                with suppress(LockNotAvailable):
                    ahead += [(value, oid) for (value,) in connection.execute(_AHEAD_OF_SEQUENCE, [oid])]
        return ahead

    def _set_sequences(self, database: str, sequences: list[tuple[int, int]]) -> None:
        if sequences:
            with closing(self.server.with_database(database).connect()) as connection, connection.pipeline():
                for sequence in sequences:
                    connection.execute(_SET_SEQUENCE, sequence)

    @contextmanager
    def no_connection_left(self) -> Iterator[None]:
        """Use up all free connections of the server for this block, and free them at its end."""
        taken: list[psycopg.Connection] = []
        try:
            while True:
                try:
                    taken.append(self.server.with_database("postgres").connect())
                except ServerUnreachableError as error:
                    if isinstance(error.__cause__, psycopg.OperationalError) and "too many clients" in str(error):
                        break
                    raise
            yield
        finally:
            ended = [connection.info.backend_pid for connection in taken]
            for connection in taken:
                connection.close()
            for pid in ended:
                self.wait_until_gone(pid, _RECOVERS_SECONDS)

    def close(self) -> None:
        """Let every server process go on, and close the observer's connection."""
        try:
            self.thaw_all()
        finally:
            self._observer.close()

    def terminate(self, pids: Iterable[int]) -> None:
        """End sessions. Pids of sessions that have ended already are ignored."""
        with self._lock:
            self._observer.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (list(pids),))

    def wait_until_gone(self, pid: int, deadline_seconds: float) -> bool:
        """Return whether a session ended in time, its locks released."""
        deadline = time.monotonic() + deadline_seconds
        while self._is_there(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        return True

    def require_gone(self, pid: int, which: str) -> None:
        """Return once a session has ended. Raises: InconclusiveError, if it does not end in time."""
        if not self.wait_until_gone(pid, ENDS_SECONDS):
            raise InconclusiveError(f"A session {which} did not end within {ENDS_SECONDS:g} s.")

    def _is_there(self, pid: int) -> bool:
        with self._lock:
            return self._has(pid)

    def _has(self, pid: int) -> bool:
        query = "SELECT FROM pg_stat_activity WHERE pid = %s"
        return self._observer.execute(query, (pid,)).fetchone() is not None


def _wait_until_closed(connection: psycopg.Connection) -> None:
    descriptor = connection.pgconn.socket
    deadline = time.monotonic() + _RECOVERS_SECONDS
    while time.monotonic() < deadline:
        readable, _, _ = select.select([descriptor], [], [], _RECOVERS_SECONDS)
        if readable and not os.read(descriptor, 65536):
            return
    raise InconclusiveError("The server did not end its sessions when one of its server processes was killed.")


def _array(numbers: Iterable[int]) -> bytes:
    return b"{%s}" % b",".join(b"%d" % number for number in numbers)


def _row(result: PGresult, number: int) -> tuple[int, frozenset[int]]:
    pid, found = result.get_value(number, 0), result.get_value(number, 1)
    assert pid is not None
    assert found is not None
    return int(pid), frozenset(int(one) for one in found.strip(b"{}").split(b",") if one)


@contextmanager
def server_processes_of(server: Server) -> Iterator[ServerProcesses]:
    """Yield the server processes of a server of the kit. At the end of the block none of them is left stopped."""
    with processes_of(server) as signals, closing(ServerProcesses(server, signals)) as processes:
        yield processes
