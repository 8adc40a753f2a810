"""Yield points inside a statement: after its snapshot is taken, and before each row.

Every table gets triggers that take and release a shared advisory lock. A session of the kit's holds that lock
exclusively while a client is to stop at its next trigger. The client then waits for a lock, as Postgres itself says.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg.generators import execute
from psycopg.waiting import wait

from pgdst.errors import InconclusiveError
from pgdst.server.address import Server
from pgdst.simulation.gate.server_processes import ServerProcesses

SETTING = "pgdst.trigger_point"
_CLASS = 28775  # of the advisory locks with two numbers, as in the triggers: the application's own are others
_DEADLINE_SECONDS = 5.0

# Names of triggers begin so that they fire before the application's. A partition inherits the trigger for rows.
_INSTALL = """
CREATE SCHEMA IF NOT EXISTS pgdst_trigger_points;
CREATE OR REPLACE FUNCTION pgdst_trigger_points.stop() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE place int := nullif(current_setting('pgdst.trigger_point', true), '');
BEGIN
    IF place IS NOT NULL THEN
        PERFORM pg_catalog.pg_advisory_lock_shared(28775, place);
        PERFORM pg_catalog.pg_advisory_unlock_shared(28775, place);
    END IF;
    RETURN CASE WHEN TG_LEVEL = 'ROW' THEN coalesce(NEW, OLD) END;
END $$;
DO $$ DECLARE one record; BEGIN
    FOR one IN
        SELECT c.oid::regclass AS name, c.relispartition AS is_partition FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
            AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgdst')
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = '!pgdst_statement')
        ORDER BY c.relispartition, c.oid
    LOOP
        EXECUTE format('CREATE TRIGGER "!pgdst_statement" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION pgdst_trigger_points.stop()', one.name);
        IF NOT one.is_partition THEN
            EXECUTE format('CREATE TRIGGER "!pgdst_row" BEFORE INSERT OR UPDATE OR DELETE ON %s '
                'FOR EACH ROW EXECUTE FUNCTION pgdst_trigger_points.stop()', one.name);
        END IF;
    END LOOP;
END $$;
"""


def install(connection: psycopg.Connection) -> None:
    """Give every table of the database that has none its triggers.

    A session without a place of its own passes them, at 0.02 ms a row.
    """
    connection.execute(_INSTALL)


class TriggerPoints:
    """The trigger points of one database: a place for each session, held by a session of the kit's."""

    def __init__(self, server: Server, processes: ServerProcesses) -> None:
        self._server = server
        self.database = server.database
        self._connection = server.connect()
        self._processes = processes
        self._numbers = itertools.count(1)
        self._places: dict[int, int] = {}
        self._lets_pass = False
        self.pid = self._connection.info.backend_pid

    def close(self) -> None:
        """Close its session."""
        self._connection.close()

    def reopen(self) -> None:
        """Begin anew where the server has ended all sessions, its own and those that had places."""
        self.close()
        self._connection = self._server.connect()
        self.pid = self._connection.info.backend_pid
        self._places.clear()
        self._lets_pass = False

    def new_place(self) -> int:
        """Return the number of a place, for a new session's SETTING."""
        return next(self._numbers)

    def assign(self, place: int, pid: int) -> None:
        """Note whose place it is."""
        self._places[pid] = place

    def hold(self, pid: int) -> None:
        """Let the server process stop at every trigger from now on."""
        self._connection.execute("SELECT pg_advisory_lock(%s, %s)", (_CLASS, self._places[pid]))

    def hold_if_placed(self, pid: int) -> None:
        """Do so where it is one of these sessions."""
        if pid in self._places:
            self.hold(pid)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let all server processes stop at every trigger, for this block."""
        for pid in self._places:
            self.hold(pid)
        try:
            yield
        finally:
            self.settle()
            self._connection.execute("SELECT pg_advisory_unlock_all()")

    def let_pass(self, pid: int) -> None:
        """Let a stopped server process through its trigger when it goes on, and not through the next.

        The kit's session unlocks, which grants the lock to that process, and at once asks for it again. Postgres hands
        a released lock to the next in the queue, so it is held again when the process comes to its next trigger.
        """
        place = self._places[pid]
        query = f"SELECT pg_advisory_unlock({_CLASS}, {place}); SELECT pg_advisory_lock({_CLASS}, {place})"
        self._connection.pgconn.send_query(query.encode())
        self._connection.pgconn.flush()
        self._lets_pass = True
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._processes.blockers(self.pid)[self.pid] != {pid}:
            if time.monotonic() > deadline:
                raise InconclusiveError(
                    f"The server process {pid} was let through its trigger, and did not take the lock."
                )

    def settle(self) -> None:
        """Take the answer to what `let_pass` asked for, once that server process has gone on."""
        if self._lets_pass:
            pgconn = self._connection.pgconn
            wait(execute(pgconn), pgconn.socket, timeout=_DEADLINE_SECONDS)
            self._lets_pass = False


def install_triggers(server: Server) -> None:
    """Give every table of the server's database its triggers."""
    with closing(server.connect()) as connection:
        install(connection)


@contextmanager
def trigger_points_of(server: Server, processes: ServerProcesses) -> Iterator[TriggerPoints]:
    """Give the tables of the server's database their triggers, and yield its trigger points."""
    install_triggers(server)
    with closing(TriggerPoints(server, processes)) as points:
        yield points
