"""`sql_determinism`: what it does to a migrated database, and that nothing is done without it."""

import pytest
from conftest import KIT, PYTHON, Sandbox
from tiny_backend import ENV, Backend

OPTIONS = ("--engine", "embedded", "--snapshot", "off", "--")
SEED = """
op.execute('''
    CREATE TABLE notes (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), x float8);
    INSERT INTO notes (x) VALUES (random()), (random());
''')
"""
# The models agree, and Alembic compares the defaults and looks into every schema.
TABLES = """
from sqlalchemy import *

metadata = MetaData()
Table("things", metadata, Column("id", Integer, primary_key=True))
Table(
    "notes", metadata, Column("id", Uuid, primary_key=True), Column("x", Double),
    Column("at", DateTime(timezone=True), server_default=func.now(), nullable=False),
)
"""
COMPARES = "compare_server_default=lambda c, i, m, di, dm, rendered: m.name == 'at' and di != rendered"
ROWS = "SELECT id, at, x FROM notes ORDER BY x"
INSTALLED = "SELECT to_regnamespace('pgdst') IS NOT NULL"


@pytest.fixture
def backend(sandbox: Sandbox) -> Backend:
    """A backend that seeds rows by the time and chance of SQL."""
    found = Backend(sandbox.root).migrate("0002_notes", SEED.strip().replace("\n", "\n    "), "0001_things")
    (found.root / "tables.py").write_text(TABLES)
    compared = f"target_metadata=metadata, include_schemas=True, {COMPARES}"
    (found.root / "migrations" / "env.py").write_text(ENV.replace("target_metadata=metadata", compared))
    return found.configure('backend = "."\nsql_determinism = true')


def answer(sandbox: Sandbox, *queries: str) -> list[str]:
    """Return what psql prints in a new run."""
    commands = [part for query in queries for part in ("--command", query)]
    done = sandbox.with_postgres(*OPTIONS, "psql", "-XAtq", *commands)
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("backend")
def test_rows_that_migrations_seed_are_the_same_in_every_new_database(sandbox: Sandbox) -> None:
    """Then time is the machine's again, and the models agree with every default as it is called."""
    first = answer(sandbox, ROWS)
    *again, installed, stands_still = answer(sandbox, ROWS, INSTALLED, "SELECT now() = '2026-01-01 00:00:00+00'")
    assert first == again
    assert ["2026-01-01 00:00:00+00"] * 2 == [row.split("|")[1] for row in first]
    assert ("t", "f") == (installed, stands_still)


@pytest.mark.long
def test_a_project_without_it_is_left_as_it_is(sandbox: Sandbox, backend: Backend) -> None:
    """No schema, no function is touched, the rows are those of the hour."""
    backend.configure('backend = "."')
    changed = "SELECT count(*) FROM pg_proc WHERE oid < 16384 AND pg_get_function_sqlbody(oid) ~ 'pgdst'"
    assert ["f", "0"] == answer(sandbox, INSTALLED, changed)
    assert answer(sandbox, ROWS) != answer(sandbox, ROWS)


def test_a_database_that_is_up_is_given_it_by_the_next_migration(sandbox: Sandbox, backend: Backend) -> None:
    """At real time, as somebody may be using it; the template that was made before is forgotten."""
    backend.configure('backend = "."')
    template = "SELECT count(*) FROM pg_database WHERE datname ~ 'template$'"
    program = f"""
        export PYTHONPATH={KIT}/tools PGDST_SQL_DETERMINISM=1
        {PYTHON} -c 'if True:
            import os
            from pgdst.database.template import Template
            from pgdst.server import address
            server = address.from_environment(os.environ)
            Template(server, server.with_database("postgres").connect()).make()'
        psql -XAtqc "{template}"
        {PYTHON} {KIT}/tools/migrate.py
        psql -XAtqc "{template}" -c "{INSTALLED}"
    """
    done = sandbox.with_postgres(*OPTIONS, "bash", "-euc", program)
    assert ["1", "0", "t"] == done.stdout.splitlines(), done.stderr
