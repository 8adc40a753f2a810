"""The contents of an unused clone, and the statements that compare a clone with them and bring it back.

How equality is proved. A row of Postgres is never changed in place: a change makes another version of it, which has the
id of the transaction that made it (`xmin`). So a table whose visible versions are all older than the moment at which
it was known to be equal, and are as many as then, is still equal, byte by byte. This is how the application's tables
are compared, and the catalogues in which nearly every change of a schema leaves something.

Reading all catalogues takes longer than everything else together, so for all of them together Postgres's own counters
of written rows must not have changed. They are exact once all other sessions have ended: a session reports its counts
when it ends, and rolled back writes count too. VACUUM alone writes in place, and is counted by itself.
Known gap: a superuser's session that disables track_counts and then changes only catalogues that are not read.

Source: Postgres 16, "Database Page Layout" (t_xmin), "The Cumulative Statistics System"; vac_update_relstats.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pgdst.errors import ConfigurationError

FIRST_OF_USERS = 16384  # FirstNormalObjectId: what has a lower oid came with Postgres
# The catalogues that are read, and which of their rows: where many came with Postgres, those of the application.
READ = {
    "pg_attribute": f"attrelid >= {FIRST_OF_USERS}",
    "pg_class": f"oid >= {FIRST_OF_USERS}",
    "pg_constraint": "true",
    "pg_depend": f"objid >= {FIRST_OF_USERS}",
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
# The others that all databases share, and which of their rows: no clone can undo a change of them.
SHARED_BY_ALL = {
    "pg_auth_members": "true",
    "pg_authid": "true",
    "pg_db_role_setting": "setdatabase = 0",
    "pg_parameter_acl": "true",
    "pg_replication_origin": "true",
    "pg_shdescription": "classoid <> 'pg_database'::regclass",
    "pg_shseclabel": "classoid <> 'pg_database'::regclass",
    "pg_tablespace": "true",
}
# Row versions, of at most a page (8 KiB) each, that may be written to a clone before a new one is cheaper than what is
# dead in it: nothing is vacuumed, as autovacuum is off.
MOST_WRITTEN_ROWS = 10_000
# Bytes of a seeded table that are kept here, to put back rows that were changed or deleted.
MOST_COPY_BYTES = 1024 * 1024

# All statements have the same parameters: $1 is the id of the first transaction after the clone was known to be equal,
# $2 the database's oid, $3 how many other sessions may stay. Whether a row version is later is asked by age, as ids
# wrap around.
PARAMETERS = "xid, oid, int"
LATER = "age(xmin) <= age($1)"
TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'm', pg_table_size(c.oid),
        EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled IN ('A', 'R'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated AND c.oid >= $1
    ORDER BY n.nspname, c.relname
"""
SEQUENCES = """
    SELECT c.oid, format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY n.nspname, c.relname
"""
# All that came with Postgres; but large objects are the application's, and rewound.
COUNTED = f"""
    SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.oid < {FIRST_OF_USERS} AND NOT c.relisshared
        AND c.relname NOT IN ('pg_largeobject', 'pg_largeobject_metadata')
"""
# VACUUM writes in place, into the row of pg_class, how far a table's ids are frozen, among others.
VACUUMED = "SELECT c.oid FROM pg_class c WHERE c.relkind IN ('r', 'm', 't')"
# Divides by zero unless the database has exactly $3 other sessions, and ends the transaction with it. It looks for a
# millisecond, as one that was closed just now takes a moment to end; by itself Postgres looks once in a transaction.
ALONE = """
    WITH RECURSIVE seen (cleared, others) AS (
        SELECT '', pg_stat_get_db_numbackends($2) - 1 - $3
        UNION ALL
        SELECT pg_stat_clear_snapshot()::text, pg_stat_get_db_numbackends($2) - 1 - $3
        FROM seen WHERE others > 0 AND clock_timestamp() < statement_timestamp() + interval '1 ms')
    SELECT 1 / (min(others) = 0)::int FROM seen
"""
# What of the whole server no clone can undo, with the versions of the rows.
OF_THE_SERVER = "SELECT string_agg(concat_ws(' ', name, xmin, ctid), ', ') FROM ({}) AS of_the_server".format(
    " UNION ALL ".join(
        f"SELECT '{name}' AS name, xmin, ctid FROM pg_catalog.{name} WHERE {where}"
        for name, where in SHARED_BY_ALL.items()
    )
)


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
    """The tables of one template's clones, and the PREPAREs of the statements that bring a clone back and compare it.

    `pgdst_alone` fails unless there are as many other sessions as may stay. `pgdst_delete` deletes what is later in
    the tables, and large objects, and returns the id of its transaction. `pgdst_prove` sets sequences back and returns
    what is not as in the template: catalogues, tables, names of two-phase transactions; then the fields of
    `reset.State`.
    """

    tables: tuple[Table, ...]
    prepare: bytes


def read_baseline(connection: psycopg.Connection) -> Baseline:
    """Read what is in a new clone, over a connection with RawCursor, before anybody else is connected to it.

    Raises: ConfigurationError where the server does not count what is written.
    """
    if _one(connection, "SHOW track_counts") != "on":
        raise ConfigurationError(
            "A rewind needs Postgres's counters of written rows, and track_counts is off. "
            "Remove it from [tool.pgdst.settings]."
        )
    tables = _tables(connection)
    statements = {"alone": ALONE, "delete": _delete(tables), "prove": _prove(connection, tables)}
    prepare = [f"PREPARE pgdst_{name} ({PARAMETERS}) AS {query}" for name, query in statements.items()]
    return Baseline(tables, "; ".join(prepare).encode())


def _tables(connection: psycopg.Connection) -> tuple[Table, ...]:
    return tuple(
        # What fires also for the kit's session (ENABLE ALWAYS, ENABLE REPLICA) would add to what is put back.
        Table(name, materialized, None if materialized or fires or size > MOST_COPY_BYTES else _copy(connection, name))
        for name, materialized, size, fires in _all(connection, TABLES, FIRST_OF_USERS)
    )


def _copy(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT".encode()) as copy:
        return b"".join(bytes(block) for block in copy)


def _delete(tables: Iterable[Table]) -> str:
    deletes = [
        f"t{number} AS (DELETE FROM ONLY {table.name} WHERE {LATER})"
        for number, table in enumerate(tables)
        if not table.materialized
    ]
    objects = f"objects AS (SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE {LATER})"
    # A query in WITH runs as far as it is read, hence the count.
    return f"WITH {', '.join([*deletes, objects])} SELECT pg_current_xact_id()::text, count(*) FROM objects"


def _unlike(connection: psycopg.Connection, what: str, relation: str, where: str) -> str:
    """Return a SELECT that yields `what` where the visible row versions are not those of the template."""
    # VACUUM and ANALYZE write what the planner goes by into pg_class, and it alone, in place.
    in_place = ", sum(relpages), sum(reltuples::float8), sum(relallvisible)"
    sums = f"count(*){in_place if what == 'pg_class' else ''}"
    where_now = where.replace("$2", _own_oid(connection))
    [expected] = _all(connection, f"SELECT {sums} FROM ONLY {relation} WHERE {where_now}")
    if expected == (0,):
        return f"SELECT {_literal(what)} WHERE EXISTS (SELECT FROM ONLY {relation} WHERE {where})"
    return (
        f"SELECT {_literal(what)} FROM ONLY {relation} WHERE {where} "
        f"HAVING ({sums}) <> ({', '.join(map(str, expected))}) OR min(age(xmin)) <= age($1)"
    )


def _prove(connection: psycopg.Connection, tables: Iterable[Table]) -> str:
    catalogues = _every(
        [
            *(_unlike(connection, name, f"pg_catalog.{name}", where) for name, where in {**READ, **SHARED}.items()),
            "SELECT 'a replication slot' FROM pg_get_replication_slots() WHERE datoid = $2",
        ]
    )
    objects = [_unlike(connection, name, name, "true") for name in ("pg_largeobject", "pg_largeobject_metadata")]
    rows = _every([*objects, *(_unlike(connection, table.name, table.name, "true") for table in tables)])
    written = _sum(_column(connection, COUNTED), "tuples_inserted", "tuples_updated", "tuples_deleted")
    vacuumed = _sum(_column(connection, VACUUMED), "vacuum_count")
    # Postgres copies what is in the list of a SELECT each time: from a subquery these are only names.
    return f"""
        SELECT * FROM (
            SELECT ARRAY({catalogues}), ARRAY({rows}), ARRAY(SELECT gid FROM pg_prepared_xact() WHERE dbid = $2),
                ({written} + {vacuumed})::bigint, pg_stat_get_db_stat_reset_time($2)::text,
                pg_stat_get_db_tuples_inserted($2) + pg_stat_get_db_tuples_updated($2), ({OF_THE_SERVER}),
                ({_set_back(connection)})
        ) AS proof
    """


def _sum(oids: Iterable[int], *counters: str) -> str:
    """Return an expression: what Postgres has counted of these tables, in these ways, since the clone was made."""
    each = " + ".join(f"pg_stat_get_{counter}(oid)" for counter in counters)
    return f"(SELECT sum({each}) FROM unnest(ARRAY[{', '.join(map(str, oids))}]::oid[]) AS oid)"


def _set_back(connection: psycopg.Connection) -> str:
    """Return a SELECT that sets all sequences: to look first at which of them were used takes longer."""
    sequences = [
        (oid, *_all(connection, f"SELECT last_value, is_called FROM {name}")[0])
        for oid, name in _all(connection, SEQUENCES)
    ]
    each = ", ".join(f"({oid}::oid::regclass, {last}::bigint, {called})" for oid, last, called in sequences)
    values = f"VALUES {each}" if each else "SELECT 0::oid::regclass, 0::bigint, false WHERE false"
    return f"SELECT count(setval(oid, last, called)) FROM ({values}) AS every (oid, last, called)"


def _every(selects: Iterable[str]) -> str:
    return " UNION ALL ".join(f"({select})" for select in selects)


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
