"""The sql clock: SQL's time and random values follow the simulation in every kind of statement; else they are real."""

import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import full_dump
import psycopg
import pytest
import shop
from conftest import PYTHON
from leftovers import eventually
from pgdst.database.databases import Databases
from pgdst.database.sql_time import sql_determinism
from pgdst.errors import ConfigurationError
from pgdst.server.address import Server
from pgdst.simulation.clients.clock import START, SimulatedClock
from pgdst.simulation.sql_clock import act_as, sql_clock

HOUR = timedelta(hours=1)
DRAWS = "SELECT gen_random_uuid()::text, random(), random_normal(), gen_random_uuid()::text"
# The functions of time that follow the clock.
TIMES = ["now()", "transaction_timestamp()", "statement_timestamp()", "clock_timestamp()"]
# Ways in which Postgres comes to evaluate now(). Each must give the simulated instant.
WAYS = {
    "a name": "SELECT now()",
    "a qualified name": "SELECT pg_catalog.now()",
    "the kit's own name": "SELECT pgdst.now()",
    "another search_path": "SET search_path = pg_catalog; SELECT now()",
    "no search_path": "SET search_path = ''; SELECT now()",
    "a table": "SELECT * FROM now()",
    "rows of functions": "SELECT a FROM ROWS FROM (now(), generate_series(1, 1)) WITH ORDINALITY AS f (a, b, c)",
    "a subquery": "SELECT (SELECT max(n) FROM (SELECT now() AS n OFFSET 0) s)",
    "a lateral join": "SELECT l.n FROM generate_series(1, 1) g, LATERAL (SELECT now() AS n WHERE g > 0) l",
    "values": "SELECT max(n) FROM (VALUES (now()), (now())) v (n)",
    "an aggregate's argument": "SELECT max(now()) FROM generate_series(1, 3) HAVING max(now()) = now()",
    "a window": "SELECT first_value(now()) OVER (ORDER BY now() RANGE now() - now() PRECEDING)",
    "a limit": f"SELECT now() LIMIT (extract(epoch FROM now()) = {START.timestamp()})::int",
    "a case": "SELECT CASE now() WHEN now() THEN now() END",
    "an array": "SELECT (ARRAY[now(), now()])[2]",
    "a row": "SELECT (ROW(now())).f1",
    "a cast": "SELECT now()::timestamp AT TIME ZONE 'UTC'",
    "time of day": "SELECT timeofday()::timestamptz",
    "an age": f"SELECT '{START}'::date - age('{START}'::timestamptz)",
    "an insert's default": "INSERT INTO notes (text) VALUES ('a') RETURNING at",
    "defaults of many rows": "INSERT INTO notes (at) VALUES (DEFAULT), (now()) RETURNING at",
    "a select's default": "INSERT INTO notes (text) SELECT 'a' FROM generate_series(1, 2) RETURNING at",
    "a domain's default": "INSERT INTO happened VALUES (1) RETURNING at",
    "a trigger": "INSERT INTO happened VALUES (2) RETURNING touched",
    "an update": "INSERT INTO notes (at) VALUES ('2020-01-01'); UPDATE notes SET at = now() RETURNING at",
    "an update to the default": "INSERT INTO notes (at) VALUES ('2020-01-01'); "
    "UPDATE notes SET at = DEFAULT RETURNING at",
    "an upsert": "INSERT INTO happened VALUES (3), (4); INSERT INTO happened VALUES (3) ON CONFLICT (id) DO UPDATE "
    "SET at = now() WHERE happened.at = now() RETURNING at",
    "a merge": "MERGE INTO happened h USING (VALUES (5)) v (id) ON h.id = v.id "
    "WHEN NOT MATCHED THEN INSERT VALUES (v.id, now()); SELECT at FROM happened WHERE id = 5",
    "a view": "INSERT INTO notes (text) VALUES ('a'); SELECT at FROM recent",
    "a new column": "INSERT INTO notes (text) VALUES ('a'); ALTER TABLE notes ADD n timestamptz DEFAULT now(); "
    "SELECT n FROM notes",
    "a column's new type": "INSERT INTO happened VALUES (6); ALTER TABLE happened ALTER touched TYPE timestamptz "
    "USING now(); SELECT touched FROM happened",
    "a new table": "CREATE TABLE copied AS SELECT now() AS n; SELECT n FROM copied",
    "a partition's bound": "CREATE TABLE p (at timestamptz) PARTITION BY LIST (at); "
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (now()); INSERT INTO p VALUES (now()) RETURNING at",
    "a materialized view": "CREATE MATERIALIZED VIEW m AS SELECT now() AS n; SELECT n FROM m",
    "a policy": "INSERT INTO notes (text) VALUES ('a'); CREATE POLICY p ON notes USING (at = now()); "
    "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE ROLE nobody_else; GRANT SELECT ON notes TO nobody_else; "
    "SET ROLE nobody_else; SELECT at FROM notes",
    "a prepared statement": "PREPARE s AS SELECT now(); EXECUTE s",
    "an argument of one": "PREPARE s (timestamptz) AS SELECT $1; EXECUTE s (now())",
    "a generic plan": "SET plan_cache_mode = force_generic_plan; PREPARE s AS SELECT now(); EXECUTE s; EXECUTE s",
    "a cursor": "BEGIN; DECLARE c CURSOR FOR SELECT now(); FETCH c",
    "a call": "CALL passed(now())",
    "a function in SQL": "SELECT text_body()",
    "a parsed function": "SELECT parsed_body()",
    "a function with a path": "SELECT with_path()",
    "a function of another user": "SELECT definer()",
    "a block": "SELECT block()",
    "an argument's default": "SELECT defaulted()",
    "parallel workers": "SET debug_parallel_query = on; SET parallel_setup_cost = 0; SELECT max(now()) FROM notes n "
    "RIGHT JOIN generate_series(1, 2) ON true",
    "a read-only transaction": "BEGIN READ ONLY; SELECT now()",
    "a role without rights": "CREATE ROLE nobody_else; SET ROLE nobody_else; SELECT now()",
}


@pytest.fixture
def url(timed_databases: Databases) -> Iterator[str]:
    """A clean database."""
    with timed_databases.lend() as lent:
        yield lent


@pytest.fixture
def session(url: str) -> Iterator[psycopg.Connection]:
    """A session of the application."""
    with shop.connect(url) as connection:
        yield connection


@pytest.fixture
def clock() -> SimulatedClock:
    """A clock at its start."""
    return SimulatedClock()


@pytest.fixture
def simulated(url: str, clock: SimulatedClock) -> Iterator[None]:
    """The sql clock on the database, with the seed 7."""
    with shop.connect(url) as own, sql_clock(own, clock, 7):
        yield


def value(session: psycopg.Connection, expression: str) -> object:
    """Return the value of an expression."""
    row = session.execute(f"SELECT {expression}".encode()).fetchone()
    assert row is not None
    return row[0]


def last(session: psycopg.Connection, statements: str) -> object:
    """Return the first value of the last of some statements."""
    cursor = session.execute(statements.encode())
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def draws(url: str, seed: int, client: int = 0) -> list[str]:
    """Return the values that a session of a new process draws."""
    with shop.connect(url) as own, sql_clock(own, SimulatedClock(), seed):
        program = (
            "import sys, psycopg; c = psycopg.connect(sys.argv[1], options=f'-c pgdst.client={sys.argv[2]}'); "
            "print(*c.execute(sys.argv[3]).fetchone(), sep='\\n')"
        )
        command = [str(PYTHON), "-c", program, url.replace("+psycopg", ""), str(client), DRAWS]
        return list(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("way", WAYS)
def test_now_is_the_simulated_instant_however_it_is_asked_for(session: psycopg.Connection, way: str) -> None:
    """Names, paths, defaults made before the installation, functions' bodies, utility statements."""
    if "CREATE ROLE" in WAYS[way]:
        session.execute("BEGIN")  # so that roles, which all databases share, are rolled back
    found = last(session, WAYS[way])
    session.execute("ROLLBACK")
    assert START == (found.replace(tzinfo=UTC) if isinstance(found, datetime) else found)


def test_without_a_simulation_all_is_real(session: psycopg.Connection) -> None:
    """The machine's clock, and other values each time; the types are Postgres's own."""
    before = datetime.now(UTC) - HOUR
    for time in TIMES:
        found = value(session, time)
        assert isinstance(found, datetime)
        assert before < found < before + 2 * HOUR
        assert "timestamp with time zone" == value(session, f"pg_typeof({time})")
    assert session.execute(DRAWS).fetchone() != session.execute(DRAWS).fetchone()
    session.execute("SELECT setseed(0.5)")


def test_when_the_simulation_ends_all_is_real_again(url: str, session: psycopg.Connection) -> None:
    """The database keeps nothing of the simulation."""
    with shop.connect(url) as own, sql_clock(own, SimulatedClock(), 7):
        drawn = value(session, "gen_random_uuid()")
        assert START == value(session, "now()")
    assert START != value(session, "now()")
    with shop.connect(url) as own, sql_clock(own, SimulatedClock(), 7):
        assert drawn == value(session, "gen_random_uuid()")


@pytest.mark.usefixtures("simulated")
def test_now_is_when_the_transaction_began(session: psycopg.Connection, clock: SimulatedClock) -> None:
    """Also if it is first called after time has passed, and after ROLLBACK TO a savepoint."""
    session.execute("BEGIN")
    clock.advance(HOUR)
    assert (START, START, START + HOUR, START + HOUR) == tuple(value(session, time) for time in TIMES)
    session.execute("SAVEPOINT s")
    clock.advance(HOUR)
    assert START == value(session, "now()")
    session.execute("ROLLBACK TO s")
    assert START == value(session, "now()")
    session.execute("COMMIT")
    assert START + 2 * HOUR == value(session, "now()")


@pytest.mark.usefixtures("simulated")
def test_the_clock_is_set_back_in_sql_as_well(session: psycopg.Connection, clock: SimulatedClock) -> None:
    """As on a real machine whose clock is set back: a transaction's now() is later than the present."""
    session.execute("BEGIN")
    clock.set_back(HOUR)
    assert (START, START, START - HOUR, START - HOUR) == tuple(value(session, time) for time in TIMES)
    session.execute("COMMIT")
    assert [START - HOUR] * 4 == [value(session, time) for time in TIMES]
    clock.advance(HOUR)
    assert [START] * 4 == [value(session, time) for time in TIMES]


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SERIALIZABLE READ ONLY"])
def test_the_clock_goes_on_within_a_transaction(session: psycopg.Connection, clock: SimulatedClock, level: str) -> None:
    """At each isolation level, clock_timestamp() changes within a snapshot."""
    session.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    assert START == value(session, "clock_timestamp() FROM (SELECT count(*) FROM notes) AS taken")
    clock.advance(HOUR)
    assert (START, START, START + HOUR, START + HOUR) == tuple(value(session, time) for time in TIMES)


@pytest.mark.usefixtures("simulated")
def test_a_statement_keeps_its_time_while_it_waits(
    url: str, session: psycopg.Connection, clock: SimulatedClock
) -> None:
    """If it is blocked while the clock advances, statement_timestamp() stays and clock_timestamp() goes on."""
    asked = "SELECT (SELECT pg_advisory_lock(1)) IS NULL, statement_timestamp(), now(), clock_timestamp()"
    waiting = "SELECT true FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    with shop.connect(url) as other, ThreadPoolExecutor() as threads:
        other.execute("SELECT pg_advisory_lock(1)")
        answer = threads.submit(lambda: session.execute(asked).fetchone())
        try:
            eventually(lambda: other.execute(waiting).fetchone(), 10, "the statement waits")
            clock.advance(HOUR)
        finally:
            other.execute("SELECT pg_advisory_unlock(1)")
        assert (False, START, START, START + HOUR) == answer.result()


@pytest.mark.usefixtures("simulated")
def test_a_transaction_that_is_too_old_is_told_and_not_given_another_time(
    session: psycopg.Connection, clock: SimulatedClock
) -> None:
    """Fifteen changes of the clock are remembered."""
    session.execute("BEGIN")
    for _ in range(15):
        clock.advance(HOUR)
    assert START == value(session, "now()")
    clock.advance(HOUR)
    with pytest.raises(psycopg.errors.RaiseException, match="more than 15 changes of the simulated clock ago"):
        value(session, "now()")


def test_the_clock_is_exact_and_has_the_whole_range(url: str, session: psycopg.Connection) -> None:
    """Exact to the microsecond, before 2000 and far in the future."""
    for start in (datetime(1969, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)):
        with shop.connect(url) as own, sql_clock(own, SimulatedClock(start), 7):
            assert [start] * 4 == [value(session, time) for time in TIMES]


def test_the_same_seed_draws_the_same(timed_databases: Databases) -> None:
    """Also in another database and another process. Another seed or client draws other values."""
    with timed_databases.lend() as one, timed_databases.lend() as another:
        first = draws(one, 7)
        assert first == draws(another, 7)
        others = [draws(one, 8), draws(one, 7 + 2**96), draws(one, 7, client=1), draws(one, 7, client=2)]
    assert 5 == len({tuple(drawn) for drawn in [first, *others]})
    assert first[0] != first[3]


@pytest.mark.usefixtures("simulated")
def test_what_is_drawn_is_of_the_right_kind(session: psycopg.Connection) -> None:
    """UUIDs of version 4, all different; numbers from 0 up to 1, spread; a normal distribution."""
    rows = session.execute("SELECT gen_random_uuid(), random(), random_normal(5, 2) FROM generate_series(1, 5000)")
    ids, numbers, normals = zip(*rows, strict=True)
    assert {(4, uuid.RFC_4122)} == {(one.version, one.variant) for one in ids}
    assert 5000 == len(set(ids)) == len(set(numbers))
    assert 0 <= min(numbers) < 0.01 < 0.99 < max(numbers) < 1
    assert 0.48 < sum(numbers) / 5000 < 0.52
    mean = sum(normals) / 5000
    assert 4.8 < mean < 5.2
    assert 3.6 < sum((one - mean) ** 2 for one in normals) / 5000 < 4.4


@pytest.mark.usefixtures("simulated")
def test_another_clients_draws_change_nothing(
    url: str, session: psycopg.Connection, timed_databases: Databases
) -> None:
    """Each of two clients draws its own sequence in any interleaving. A rollback does not repeat a value."""
    with shop.connect(url) as other:
        act_as(session, 1)
        act_as(other, 2)
        mixed = [value(one, "gen_random_uuid()") for one in (session, other, session, session, other)]
        session.execute("BEGIN")
        again = value(session, "gen_random_uuid()")
        session.execute("ROLLBACK")
        assert again != value(session, "gen_random_uuid()")
    with timed_databases.lend() as second, shop.connect(second) as own, sql_clock(own, SimulatedClock(), 7):
        for client, places in ((2, (1, 4)), (1, (0, 2, 3))):
            act_as(own, client)
            assert [mixed[place] for place in places] == [value(own, "gen_random_uuid()") for _ in places]


@pytest.mark.usefixtures("simulated")
def test_a_read_only_transaction_may_draw(session: psycopg.Connection) -> None:
    """As with the real functions: another value each time."""
    session.execute("BEGIN READ ONLY")
    assert 6 == len({value(session, f"{name}()::text") for name in ["gen_random_uuid", "random"] * 3})


@pytest.mark.usefixtures("simulated")
def test_defaults_follow_the_clock_and_the_seed(session: psycopg.Connection, clock: SimulatedClock) -> None:
    """Defaults of columns follow too, and the catalogue shows them unchanged."""
    clock.advance(HOUR)
    insert = "INSERT INTO notes (text) VALUES ('a') RETURNING at, day, id::text, share"
    at, day, first, share = session.execute(insert).fetchone() or ()
    assert (START + HOUR, START.date()) == (at, day)
    assert (first, share) != (session.execute(insert).fetchone() or ())[2:]
    with session.cursor() as cursor, cursor.copy("COPY notes (text) FROM STDIN") as copy:
        copy.write_row(("copied",))
    assert START + HOUR == value(session, "at FROM notes WHERE text = 'copied'")
    shown = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'notes'::regclass ORDER BY adnum"
    assert [("gen_random_uuid()",), ("now()",), ("(now())::date",), ("random()",)] == session.execute(shown).fetchall()
    with pytest.raises(psycopg.errors.CheckViolation):
        session.execute("INSERT INTO notes (at) VALUES (now() + interval '1 second')")


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("name", ["now()", "statement_timestamp()"])
def test_an_index_serves_as_with_the_real_function(session: psycopg.Connection, name: str) -> None:
    """It is an index condition, computed once a scan."""
    session.execute("SET enable_seqscan = off")
    session.execute("SET enable_bitmapscan = off")
    plan = session.execute(f"EXPLAIN SELECT * FROM notes WHERE at > {name} - interval '1 day'".encode()).fetchall()
    assert "Index Scan" in plan[0][0]
    assert "Index Cond" in plan[1][0]


def test_each_replaced_function_is_put_in_place_of_its_call(session: psycopg.Connection) -> None:
    """They are inlined. A call would reach the built-in: Postgres does not read pg_proc for built-in functions."""
    replaced = session.execute(
        "SELECT format('%s(%s)', proname, pg_get_function_arguments(oid)), provolatile, prorettype::regtype::text "
        "FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384 AND prosqlbody IS NOT NULL "
        "AND pg_get_function_sqlbody(oid) ~ 'pgdst\\.' ORDER BY 1"
    ).fetchall()
    assert 10 == len(replaced)
    for name in ("now()", "transaction_timestamp()", "statement_timestamp()", "clock_timestamp()", "timeofday()",
                 "random()", "random_normal()", "gen_random_uuid()", "age('today'::timestamp)",
                 "age('today'::timestamptz)"):  # fmt: skip
        [*_, (output,)] = session.execute(f"EXPLAIN (VERBOSE) SELECT {name}".encode()).fetchall()
        assert "pgdst." in output
        assert f" {name}" not in output


def test_a_rewind_makes_the_next_example_start_alike(timed_databases: Databases, timed_server: Server) -> None:
    """The rewound database has equal contents: no clock, seed or count of draws is left."""
    with timed_databases.lend() as url, shop.connect(url) as own:
        own.execute("SELECT pgdst.set_clock('2030-01-01'), pgdst.set_seed(1)")
        own.execute("SELECT pgdst.set_clock('2031-01-01')")
        own.execute("INSERT INTO notes (text) VALUES ('a')")
    with timed_databases.lend() as another:
        assert url == another
        found = full_dump.dump(timed_server.with_database(another.rpartition("/")[2]))
        assert {} == full_dump.difference(full_dump.dump(timed_server), found)


def test_a_database_without_it_is_refused(shop_server: Server) -> None:
    """The error says which setting to write."""
    with (
        shop_server.connect() as connection,
        pytest.raises(ConfigurationError, match="sql_determinism = true"),
        sql_clock(connection, SimulatedClock(), 7),
    ):
        raise AssertionError("reached")


def test_a_search_path_by_which_tables_would_be_the_kits_is_refused(timed_server: Server) -> None:
    """The kit's user and schema have the same name. Nothing is installed then."""
    with timed_server.with_database("postgres").connect() as connection:
        connection.execute("""SET search_path = "$user", public""")
        with pytest.raises(ConfigurationError, match=r'Leave "\$user" out'):
            sql_determinism.install(connection)
        assert not sql_determinism.is_installed(connection)


def test_installing_it_again_changes_nothing(timed_server: Server) -> None:
    """The template need not be made again either."""
    with timed_server.connect() as connection:
        assert not sql_determinism.install(connection)
