"""Everything a database holds, as text: each row of each table and catalogue, each sequence's state.

Nothing is left out of the catalogues, oids and planner's statistics included: a clone is a copy of the files, so even
they are equal. Of the catalogues that all databases share, only the rows of this one are dumped.
"""

import psycopg
from pgdst.server.address import Server

Dump = dict[str, list[str]]

TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relisshared AND c.relpersistence <> 't'
"""
SEQUENCES = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
# What a database has in the shared catalogues, but for its oid and name, by which clones differ, and for the
# horizons that VACUUM moves in every database.
SHARED = {
    "pg_database": """
        SELECT to_jsonb(d) - '{oid,datname,datfrozenxid,datminmxid}'::text[] FROM pg_database d WHERE datname = %(name)s
    """,
    "pg_db_role_setting": """
        SELECT (setrole, setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase
        WHERE datname = %(name)s
    """,
    "pg_shdescription": """
        SELECT description FROM pg_shdescription JOIN pg_database d ON d.oid = objoid
        WHERE classoid = 'pg_database'::regclass AND datname = %(name)s
    """,
    "pg_shdepend": """
        SELECT (classid, objid, objsubid, refclassid, refobjid, deptype) FROM pg_shdepend s
        JOIN pg_database d ON d.oid = dbid WHERE datname = %(name)s
    """,
}


def dump(server: Server) -> Dump:
    """Return the contents of the server's selected database: name → rows, sorted."""
    with server.connect() as connection:
        found = {table: _rows(connection, f"SELECT t FROM ONLY {table} t") for (table,) in connection.execute(TABLES)}
        for (sequence,) in connection.execute(SEQUENCES).fetchall():
            found[sequence] = _rows(connection, f"SELECT (last_value, is_called) FROM {sequence}")
        for name, query in SHARED.items():
            found[name] = _rows(connection, query, server.database)
        return found


def difference(expected: Dump, found: Dump) -> dict[str, tuple[list[str], list[str]]]:
    """Return what only one of two dumps has, by table: nothing where they are equal."""
    return {
        name: (
            sorted(set(expected.get(name, [])) - set(found.get(name, []))),
            sorted(set(found.get(name, [])) - set(expected.get(name, []))),
        )
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    }


def _rows(connection: psycopg.Connection, query: str, name: str | None = None) -> list[str]:
    rows = connection.execute(f"SELECT row::text FROM ({query}) AS every (row)".encode(), {"name": name})
    return sorted(row for (row,) in rows)
