"""What a clone holds before anybody has used it, and the statements that compare it and bring it back.

How equality is proved. A row of Postgres is never changed in place: a change makes another version of it, which has the
id of the transaction that made it (`xmin`). So a table whose visible versions are all older than the moment at which
it was known to be equal, and are as many as then, is still equal, byte by byte. This is how the application's tables
are compared, and the catalogues in which nearly every change of a schema leaves something.

Reading all catalogues through takes longer than everything else together, so for all of them together Postgres's own
counters of written rows must stand still. They are exact once all other sessions have ended: a session hands in its
counts when it ends, and also what was rolled back is counted. What could escape is a change that a superuser's session
makes with track_counts off, if it is in none of the catalogues that are read.

Source: Postgres 16, "Database Page Layout" (t_xmin), "The Cumulative Statistics System".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pgdst.errors import ConfigurationError

FIRST_OF_USERS = 16384  # FirstNormalObjectId: what has a lower oid came with Postgres
# The catalogues that are read, and which of their rows; by the leading column of an index where Postgres itself has
# thousands of rows in them.
READ = {
    "pg_attribute": f"attrelid >= {FIRST_OF_USERS}",
    "pg_class": "true",
    "pg_constraint": "true",
    "pg_depend": "true",
    "pg_description": f"objoid >= {FIRST_OF_USERS}",
    "pg_namespace": "true",
    "pg_proc": f"oid >= {FIRST_OF_USERS}",
}
# Rows in them belong to one database or to all; only those of this one are its contents.
SHARED = {
    "pg_database": "oid = $2",
    "pg_db_role_setting": "setdatabase = $2",
    "pg_shdescription": "classoid = 'pg_database'::regclass AND objoid = $2",
    "pg_shseclabel": "classoid = 'pg_database'::regclass AND objoid = $2",
    "pg_shdepend": "dbid = $2",
    "pg_subscription": "subdbid = $2",
}
# The others that all databases share: no clone can undo a change of them.
OF_THE_SERVER = ("pg_auth_members", "pg_authid", "pg_parameter_acl", "pg_replication_origin", "pg_tablespace")
# Row versions, of at most a page (8 KiB) each, that may be written to a clone before a new one is cheaper than what is
# dead in it: nothing is vacuumed, as autovacuum is off.
MOST_WRITTEN_ROWS = 10_000
# Bytes of a seeded table that are kept here, to put back rows that were changed or deleted.
MOST_COPY_BYTES = 1024 * 1024

SINCE = "since AS MATERIALIZED (SELECT age($1::xid) AS age)"
# The first transaction that is later than all that was done so far, this one included.
NEXT = "(pg_current_xact_id()::text::bigint + 1)::text"
TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'm', pg_table_size(c.oid),
        EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled IN ('A', 'R'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated AND c.oid >= $1
    ORDER BY n.nspname, c.relname
"""
SEQUENCES = """
    SELECT format('%I.%I', n.nspname, c.relname), quote_literal(format('%I.%I', n.nspname, c.relname))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY n.nspname, c.relname
"""
# All that came with Postgres; but large objects are the application's, and rewound.
COUNTED = f"""
    SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.oid < {FIRST_OF_USERS} AND NOT c.relisshared
        AND c.relname NOT IN ('pg_largeobject', 'pg_largeobject_metadata')
"""
# The application's tables with their TOAST tables, and large objects: what grows by what was deleted.
GROWING = f"""
    SELECT c.oid FROM pg_class c WHERE c.relkind IN ('r', 'm', 't') AND c.oid >= {FIRST_OF_USERS}
        OR c.oid = 'pg_largeobject'::regclass
"""


@dataclass(frozen=True)
class Table:
    """A table of the application, or a materialized view: its quoted name and its rows in the template.

    `copy` has them as COPY writes them; it is None where they are too many to be kept, or cannot be put back.
    """

    name: str
    materialized: bool
    copy: bytes | None


@dataclass(frozen=True)
class Baseline:
    """The statements for one template's clones, with what is expected in them.

    Their parameters: $1 the id of the first transaction after the clone was known to be equal, $2 the database's oid.

    `look` returns what differs in anything but rows and sequences, in words. `state` returns one row
    (`reset.State`). `rewind` deletes rows and large objects, sets sequences back, and returns the next $1. `verify`
    returns the tables, by name, that are not as in the template.
    """

    tables: tuple[Table, ...]
    look: bytes
    state: bytes
    rewind: bytes
    verify: bytes


def read_baseline(connection: psycopg.Connection) -> Baseline:
    """Read what is in a new clone, over a connection with RawCursor, before anybody else is connected to it.

    Raises: ConfigurationError where the server does not count what is written.
    """
    if _one(connection, "SHOW track_counts") != "on":
        raise ConfigurationError(
            "A rewind goes by what Postgres counts, and track_counts is off. Remove it from [tool.pgdst.settings]."
        )
    tables = _tables(connection)
    return Baseline(
        tables=tables,
        look=_look(connection),
        state=_state(connection),
        rewind=_rewind(connection, tables),
        verify=_verify(connection, tables),
    )


def _tables(connection: psycopg.Connection) -> tuple[Table, ...]:
    return tuple(
        # What fires also for the kit's session (ENABLE ALWAYS, ENABLE REPLICA) would add to what is put back.
        Table(name, materialized, None if materialized or fires or size > MOST_COPY_BYTES else _copy(connection, name))
        for name, materialized, size, fires in _all(connection, TABLES, FIRST_OF_USERS)
    )


def _copy(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT".encode()) as copy:
        return b"".join(bytes(block) for block in copy)


def _look(connection: psycopg.Connection) -> bytes:
    return _with_since(
        [
            *(_unlike(connection, name, f"pg_catalog.{name}", where) for name, where in {**READ, **SHARED}.items()),
            "SELECT 'a replication slot' FROM pg_get_replication_slots() WHERE datoid = $2",
        ]
    )


def _unlike(connection: psycopg.Connection, what: str, relation: str, where: str) -> str:
    """Return a SELECT that yields `what` where the visible row versions are not those of the template."""
    # VACUUM and ANALYZE write what the planner goes by into pg_class, and it alone, in place.
    sums = "count(*), sum(relpages), sum(reltuples::bigint)" if what == "pg_class" else "count(*)"
    where_now = where.replace("$2", _own_oid(connection))
    [expected] = _all(connection, f"SELECT {sums} FROM ONLY {relation} WHERE {where_now}")
    return (
        f"SELECT {_literal(what)} FROM ONLY {relation} WHERE {where} "
        f"HAVING ({sums}) <> ({', '.join(map(str, expected))}) OR min(age(xmin)) <= (SELECT age FROM since)"
    )


def _state(connection: psycopg.Connection) -> bytes:
    counted = _column(connection, COUNTED)
    growing = _column(connection, GROWING)
    of_the_server = " UNION ALL ".join(
        f"SELECT '{name}' AS name, xmin, ctid FROM pg_catalog.{name} {where}"
        for name, where in [*((name, "") for name in OF_THE_SERVER), ("pg_db_role_setting", "WHERE setdatabase = 0")]
    )
    return f"""
        SELECT ARRAY(SELECT pid FROM pg_stat_get_activity(NULL) WHERE datid = $1 AND pid <> pg_backend_pid()),
            ARRAY(SELECT gid FROM pg_prepared_xact() WHERE dbid = $1),
            {_sum(counted, "inserted", "updated", "deleted")}, pg_stat_get_db_stat_reset_time($1)::text,
            {_sum(growing, "inserted", "updated")},
            (SELECT string_agg(concat_ws(' ', name, xmin, ctid), ', ') FROM ({of_the_server}) AS of_the_server)
    """.encode()


def _sum(oids: Iterable[int], *counters: str) -> str:
    """Return an expression: how many rows were written in these ways to these tables, since the clone was made."""
    each = " + ".join(f"pg_stat_get_tuples_{counter}(oid)" for counter in counters)
    return f"(SELECT sum({each}) FROM unnest(ARRAY[{', '.join(map(str, oids))}]::oid[]) AS oid)"


def _rewind(connection: psycopg.Connection, tables: Iterable[Table]) -> bytes:
    new = "age(xmin) <= (SELECT age FROM since)"
    deletes = [
        f"t{number} AS (DELETE FROM ONLY {table.name} WHERE {new})"
        for number, table in enumerate(tables)
        if not table.materialized
    ]
    objects = f"SELECT lo_unlink(oid)::bigint FROM pg_largeobject_metadata WHERE {new}"
    resets = [_reset(connection, *names) for names in _all(connection, SEQUENCES)]
    parts = [SINCE, *deletes, f"others AS ({' UNION ALL '.join([objects, *resets])})"]
    # A query in WITH runs as far as it is read, hence the count.
    return f"WITH {', '.join(parts)} SELECT count(*), {NEXT} FROM others".encode()


def _reset(connection: psycopg.Connection, name: str, literal: str) -> str:
    last, called = _all(connection, f"SELECT last_value, is_called FROM {name}")[0]
    return (
        f"SELECT setval({literal}::regclass, {last}, {called}) FROM {name} "
        f"WHERE (last_value, is_called) <> ({last}, {called})"
    )


def _verify(connection: psycopg.Connection, tables: Iterable[Table]) -> bytes:
    objects = [_unlike(connection, name, name, "true") for name in ("pg_largeobject", "pg_largeobject_metadata")]
    return _with_since([*objects, *(_unlike(connection, table.name, table.name, "true") for table in tables)])


def _with_since(selects: Iterable[str]) -> bytes:
    # One scan a table, in one statement: the age is computed once, and the server plans all of it once.
    every = " UNION ALL ".join(f"({select})" for select in selects)
    return f"WITH {SINCE} {every}".encode()


def _literal(text: str) -> str:
    return psycopg.sql.Literal(text).as_string()


def _own_oid(connection: psycopg.Connection) -> str:
    return str(_one(connection, "SELECT oid FROM pg_database WHERE datname = current_database()"))


def _all(connection: psycopg.Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), parameters).fetchall()


def _column(connection: psycopg.Connection, query: str, *parameters: Any) -> list[Any]:
    return [value for (value,) in _all(connection, query, *parameters)]


def _one(connection: psycopg.Connection, query: str) -> Any:
    [(value,)] = _all(connection, query)
    return value
