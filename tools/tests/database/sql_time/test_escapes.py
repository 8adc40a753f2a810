"""What escapes a simulation in a schema: each kind is found where it is, and nothing in a schema that is clean."""

from collections.abc import Iterator

import psycopg
import pytest
from conftest import KIT, PYTHON, Sandbox
from pgdst.database.sql_time.escapes import Escape, escapes
from pgdst.database.sql_time.sql_chance import scan
from pgdst.server.address import Server
from tiny_backend import Backend

# An object that escapes: the statements that make it, what it is called, what escapes; and its twin that does not.
TWINS = {
    "a default": (
        "CREATE TABLE t (at timestamptz DEFAULT CURRENT_TIMESTAMP)",
        ("default value for column at of table t", "current_timestamp"),
        "CREATE TABLE t (at timestamptz DEFAULT now(), \"current_timestamp\" text DEFAULT 'CURRENT_TIMESTAMP')",
    ),
    "a default within an expression": (
        "CREATE TABLE t (day text DEFAULT to_char(LOCALTIMESTAMP(0), 'YYYY'))",
        ("default value for column day of table t", "localtimestamp"),
        "CREATE TABLE t (day text DEFAULT to_char(now(), 'YYYY'))",
    ),
    "a default by a word for now": (
        "CREATE TABLE t (day date DEFAULT 'today'::text::date)",
        ("default value for column day of table t", "'today'"),
        "CREATE TABLE t (day text DEFAULT 'today')",
    ),
    "a domain's default": (
        "CREATE DOMAIN d AS int DEFAULT pg_backend_pid()",
        ("type d", "pg_backend_pid"),
        "CREATE DOMAIN d AS int DEFAULT 1",
    ),
    "a domain's check": (
        "CREATE DOMAIN d AS date CHECK (VALUE < current_date)",
        ("constraint d_check", "current_date"),
        "CREATE DOMAIN d AS date CHECK (VALUE < now()::date)",
    ),
    "a check": (
        "CREATE TABLE t (at time CONSTRAINT c CHECK (at < LOCALTIME))",
        ("constraint c on table t", "localtime"),
        "CREATE TABLE t (at time CONSTRAINT c CHECK (at < now()::time))",
    ),
    "a view": (
        "CREATE VIEW v AS SELECT 1 AS one WHERE CURRENT_TIME(3) IS NULL",
        ("view v", "current_time"),
        "CREATE VIEW v AS SELECT 1 AS \"CURRENT_TIME {FUNCEXPR :funcid 2026 \" WHERE '1' = ':funcid 2026 '",
    ),
    "a view of a sample": (
        "CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t TABLESAMPLE bernoulli (10)",
        ("view v", "tablesample"),
        "CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t TABLESAMPLE bernoulli (10) REPEATABLE (1)",
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW m AS SELECT inet_server_port() AS port WITH NO DATA",
        ("materialized view m", "inet_server_port"),
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS inet_server_port WITH NO DATA",
    ),
    "a rule": (
        "CREATE TABLE t (x text); CREATE RULE r AS ON DELETE TO t DO INSTEAD UPDATE t SET x = txid_current()::text",
        ("rule r on table t", "txid_current"),
        "CREATE TABLE t (x text); CREATE RULE r AS ON DELETE TO t DO INSTEAD UPDATE t SET x = 'txid_current()'",
    ),
    "a trigger's condition": (
        "CREATE TABLE t (at date); CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.at > CURRENT_DATE) "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ("trigger g on table t", "current_date"),
        "CREATE TABLE t (at date); CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.at > now()) "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    "a policy": (
        "CREATE TABLE t (at date); CREATE POLICY p ON t WITH CHECK (at = CURRENT_DATE)",
        ("policy p on table t", "current_date"),
        "CREATE TABLE t (at date); CREATE POLICY p ON t WITH CHECK (at = now()::date)",
    ),
    "a parsed function": (
        "CREATE FUNCTION f() RETURNS date LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CURRENT_DATE; END",
        ("function f()", "current_date"),
        "CREATE FUNCTION f() RETURNS date LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT now()::date; END",
    ),
    "an argument's default": (
        "CREATE FUNCTION f(d date DEFAULT CURRENT_DATE) RETURNS date LANGUAGE sql AS 'SELECT d'",
        ("function f(date)", "current_date"),
        "CREATE FUNCTION f(d date DEFAULT now()) RETURNS date LANGUAGE sql AS 'SELECT d'",
    ),
    "a generated column": (
        "CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT CURRENT_DATE::text'; "
        "CREATE TABLE t (id int, day text GENERATED ALWAYS AS (f(id)) STORED); CREATE INDEX i ON t (f(id))",
        ("function f(integer)", "current_date"),
        "CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'; "
        "CREATE TABLE t (id int, day text GENERATED ALWAYS AS (f(id)) STORED); CREATE INDEX i ON t (f(id))",
    ),
    "an index that was said to be immutable": (
        "CREATE TABLE t (id int); ALTER FUNCTION pg_backend_pid() IMMUTABLE; "
        "CREATE INDEX i ON t ((id + pg_backend_pid()))",
        ("index i", "pg_backend_pid"),
        "CREATE TABLE t (id int); CREATE INDEX i ON t ((id + 1))",
    ),
    "a function of an extension": (
        "CREATE SCHEMA x; CREATE FUNCTION x.uuid_generate_v4() RETURNS uuid LANGUAGE internal AS 'gen_random_uuid'; "
        "CREATE TABLE t (id uuid DEFAULT x.uuid_generate_v4())",
        ("default value for column id of table t", "uuid_generate_v4"),
        "CREATE TABLE t (id uuid DEFAULT gen_random_uuid())",
    ),
    "a statistic": (
        "CREATE TABLE t (id int); ALTER FUNCTION pg_backend_pid() IMMUTABLE; "
        "CREATE STATISTICS s ON (id + pg_backend_pid()), id FROM t",
        ("statistics object s", "pg_backend_pid"),
        "CREATE TABLE t (id int); CREATE STATISTICS s ON (id + 1), id FROM t",
    ),
    "a block": (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); END $$",
        ("function f()", "pg_sleep"),
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN /* PERFORM pg_sleep(1); */ END $$",
    ),
}
# Bodies of functions: what escapes in them.
BODIES = {
    "SELECT CURRENT_TIMESTAMP, current_date": ["current_timestamp", "current_date"],
    "SELECT pg_catalog.pg_backend_pid(), PG_BACKEND_PID ( )": ["pg_backend_pid", "pg_backend_pid"],
    'SELECT "pg_backend_pid"(), "PG_BACKEND_PID"()': ["pg_backend_pid"],
    "SELECT 1 FROM t JOIN pg_backend_pid() p ON pg_backend_pid() = t.p": ["pg_backend_pid", "pg_backend_pid"],
    "SELECT app.pg_backend_pid(), pg_backend_pid, pg_backend_pid[1]": [],
    "SELECT x.current_date, 1 AS current_time, \"current_date\"": [],
    "SELECT 'CURRENT_DATE', E'it\\'s CURRENT_DATE', 'it''s CURRENT_DATE', $a$ $$ CURRENT_DATE $a$": [],
    "-- CURRENT_DATE\n/* CURRENT_DATE /* nested */ CURRENT_DATE */ SELECT 1 -- 'CURRENT_DATE": [],
    "SELECT '--', CURRENT_DATE": ["current_date"],
    "SELECT U&'a' || CURRENT_DATE || B'1'": ["current_date"],
    "SELECT $1, a$b, CURRENT_DATE": ["current_date"],
    "SELECT my_current_date, current_date_of, schön_current_date": [],
    "INSERT INTO pg_backend_pid (a) VALUES (1)": [],
    "SELECT 'now'::timestamptz, timestamp 'now', ('today'::text)::date, CAST('now' AS date)": [
        "'now'", "'now'", "'today'", "'now'",
    ],
    "SELECT timestamp with time zone 'tomorrow', pg_catalog.date 'yesterday'": ["'tomorrow'", "'yesterday'"],
    "SELECT date('now'), date_trunc('now', x), 'now'::pg_catalog.timestamp": ["'now'", "'now'"],
    "SELECT 'now', 'today'::text, ('now', 1)::pair, 'now' AS date2": [],
    "BEGIN EXECUTE 'SELECT CURRENT_DATE'; PERFORM 'CURRENT_DATE'; END": ["current_date"],
    "BEGIN EXECUTE format($q$SELECT %I, 'CURRENT_DATE', pg_backend_pid()$q$, x) INTO y USING 'now'; END": [
        "pg_backend_pid",
    ],
    "SELECT * FROM t TABLESAMPLE system (1), u TABLESAMPLE system ((2)) REPEATABLE (3)": ["tablesample"],
    "SELECT public.gen_salt('bf'), uuid_generate_v1()": ["gen_salt", "uuid_generate_v1"],
    "SELECT now(), random(), gen_random_uuid(), age(x)": [],
    "SELECT 'unended": [],
    "/* unended CURRENT_DATE": [],
    "SELECT $$unended CURRENT_DATE": [],
}  # fmt: skip
# What escapes only where nothing is installed.
REAL = "BEGIN PERFORM now(), clock_timestamp(), random(), age(a), age(a, b), age((a), f(c, d)), timeofday(); END"
REAL_FOUND = ["now", "clock_timestamp", "random", "age", "timeofday"]


@pytest.fixture
def timed_session(timed_server: Server) -> Iterator[psycopg.Connection]:
    """A transaction in a database that can be told the time, which is rolled back."""
    with timed_server.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def plain_session(shop_server: Server) -> Iterator[psycopg.Connection]:
    """The same where that is not installed."""
    with shop_server.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


def found(connection: psycopg.Connection, statements: str) -> list[Escape]:
    """Return what escapes after some statements."""
    connection.execute(statements.encode())
    return escapes(connection)


@pytest.mark.parametrize("kind", TWINS)
def test_an_escape_is_found_where_it_is(timed_session: psycopg.Connection, kind: str) -> None:
    """By the object's and its own name, with what to do."""
    statements, expected, _ = TWINS[kind]
    [escape] = found(timed_session, statements)
    assert expected == (escape.object, escape.what)
    assert escape.remedy
    assert escape.what.strip("'") in escape.where.lower()


@pytest.mark.parametrize("kind", TWINS)
def test_its_twin_is_clean(timed_session: psycopg.Connection, kind: str) -> None:
    """Which does the same by what a simulation drives, or only has the words in it."""
    assert [] == found(timed_session, TWINS[kind][2])


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_read_token_by_token(body: str) -> None:
    """Names in comments, strings and other names are none; strings that are executed are SQL."""
    assert BODIES[body] == [one.what for one in sorted(scan(body, simulated=True), key=lambda one: one.start)]


def test_without_the_installation_the_real_functions_escape(plain_session: psycopg.Connection) -> None:
    """In what is parsed and in bodies, with the setting that helps; the schema's own objects are otherwise clean."""
    statements = "CREATE TABLE t (at timestamptz DEFAULT now(), old interval DEFAULT age('2020-01-01'::timestamptz))"
    assert [] == escapes(plain_session)
    every = found(plain_session, f"{statements}; CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS '{REAL}'")
    assert ["now", "age", *REAL_FOUND] == [one.what for one in every]
    assert all("sql_determinism = true" in one.remedy for one in every)


def test_a_line_says_where_what_and_what_to_do(timed_session: psycopg.Connection) -> None:
    """Of a longer text, the line."""
    body = "BEGIN\n  -- later\n  NEW.at :=   CURRENT_TIMESTAMP;\n  RETURN NEW;\nEND"
    [escape] = found(timed_session, f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    assert "function f(): current_timestamp, in `NEW.at := CURRENT_TIMESTAMP;`: write now()" == escape.line()


def test_check_schema_prints_a_line_an_escape(sandbox: Sandbox) -> None:
    """And its status says whether there are any."""
    command = ("--engine", "embedded", "--", "sh", "-c", '"$0" "$1"/check_schema.py')
    script = (PYTHON, KIT / "tools")
    clean = sandbox.with_postgres(*command, *script)
    assert (0, "") == (clean.returncode, clean.stdout)
    Backend(sandbox.root).migrate(
        "0002_at", "op.execute('ALTER TABLE things ADD at timestamptz DEFAULT CURRENT_TIMESTAMP')", "0001_things"
    )
    (sandbox.root / "tables.py").write_text(
        "from sqlalchemy import *\nmetadata = MetaData()\n"
        "Table('things', metadata, Column('id', Integer, primary_key=True), Column('at', DateTime(timezone=True)))\n"
    )
    dirty = sandbox.with_postgres(*command, *script)
    assert 1 == dirty.returncode
    [line] = dirty.stdout.splitlines()
    assert line.startswith("default value for column at of table things: current_timestamp, in `CURRENT_TIMESTAMP`: ")
    assert "1 escape" in dirty.stderr
