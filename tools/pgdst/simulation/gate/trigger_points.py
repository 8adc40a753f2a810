"""Yield points inside a statement: after its snapshot is taken, and before each row.

Every table gets triggers that take and release a shared advisory lock. While a client is to stop at its next trigger, a
session of the kit holds that lock exclusively. pg_blocking_pids then reports the client as blocked by that session.
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
_CLASS = 28775  # the first key of the advisory locks, also in the triggers; an application must not use it
_DEADLINE_SECONDS = 5.0

# Triggers fire in the order of their names: `!` comes before the application's. A partition inherits the row trigger.
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
    """Create the triggers on every table of the database that lacks them.

    A session without a number of its own does not stop at them. They cost it 0.02 ms a row.
    """
    connection.execute(_INSTALL)


class TriggerPoints:
    """The trigger points of one database: a lock for each session, which a session of the kit holds."""

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
        """Close the kit's session."""
        self._connection.close()

    def reopen(self) -> None:
        """Open a new session after a crash of the server, and forget the numbers of the sessions before it."""
        self.close()
        self._connection = self._server.connect()
        self.pid = self._connection.info.backend_pid
        self._places.clear()
        self._lets_pass = False

    def new_place(self) -> int:
        """Return a number for a new session, as the value of SETTING."""
        return next(self._numbers)

    def assign(self, place: int, pid: int) -> None:
        """Note which server process has a number."""
        self._places[pid] = place

    def hold(self, pid: int) -> None:
        """Make the server process stop at every trigger from now on."""
        self._connection.execute("SELECT pg_advisory_lock(%s, %s)", (_CLASS, self._places[pid]))

    def hold_if_placed(self, pid: int) -> None:
        """Make the server process stop at every trigger if it is in this database."""
        if pid in self._places:
            self.hold(pid)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Make all server processes stop at every trigger, in this block."""
        for pid in self._places:
            self.hold(pid)
        try:
            yield
        finally:
            self.settle()
            self._connection.execute("SELECT pg_advisory_unlock_all()")

    def let_pass(self, pid: int) -> None:
        """Let a stopped server process through its trigger when it goes on, and not through the next.

        The kit's session releases the lock, which grants it to that process, and requests it again at once. Postgres
        grants a released lock to the next in its queue, so the kit's session has it again before the next trigger.
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
                    f"The server process {pid} was let through its trigger, but did not take the lock."
                )

    def settle(self) -> None:
        """Read the answer to the query of `let_pass`, once that server process has gone on."""
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
    """Create the triggers in the server's database, and yield its trigger points."""
    install_triggers(server)
    with closing(TriggerPoints(server, processes)) as points:
        yield points
