"""The rewind: back to exactly the template's contents, or another clone. Compared by dumps that see everything."""

import contextlib
from collections import Counter

import full_dump
import psycopg
import pytest
import shop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgdst.database.databases import Databases
from pgdst.errors import SharedStateError
from pgdst.server.address import Server

SESSIONS = {
    "an open transaction": "BEGIN; INSERT INTO plain_1 (text) VALUES ('a'); LOCK plain_2 IN ACCESS EXCLUSIVE MODE",
    "a failed transaction": "DO $$ BEGIN INSERT INTO plain_1 (text) VALUES ('a'); RAISE 'failed'; END $$",
    "an advisory lock": "SELECT pg_advisory_lock(7)",
    "a prepared statement": "PREPARE statement AS SELECT 1",
    "a setting": "SET work_mem = '7MB'; SET search_path = accounts; SET session_replication_role = replica",
    "a role": "SET ROLE pg_monitor",
    "a cursor": "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM countries; COMMIT",
}

LOCKS = """
    SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = database
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(scope="session")
def template(shop_server: Server) -> full_dump.Dump:
    """What the template holds: what its database of origin does, which nobody uses."""
    return full_dump.dump(shop_server)


def dump(databases: Databases, url: str) -> full_dump.Dump:
    """Return what a lent database holds."""
    return full_dump.dump(databases.server.with_database(url.rpartition("/")[2]))


def after(databases: Databases, *statements: str) -> tuple[bool, full_dump.Dump]:
    """Run statements in a lent database; return whether the next one is the same, and all that it holds."""
    with databases.lend() as url:
        for statement in statements:
            with shop.connect(url) as session:
                session.execute(statement.encode())
    with databases.lend() as another:
        return url == another, dump(databases, another)


@pytest.mark.parametrize("write", shop.WRITES)
def test_what_is_written_is_rewound(databases: Databases, template: full_dump.Dump, write: str) -> None:
    """The same database comes back, with the same contents in the last byte."""
    rewound, found = after(databases, shop.WRITES[write])
    assert {} == full_dump.difference(template, found)
    assert rewound, databases.given_up


@pytest.mark.parametrize("change", shop.CHANGES)
def test_what_a_rewind_cannot_bring_back_is_noticed(databases: Databases, change: str) -> None:
    """Another database comes."""
    with databases.lend() as url, shop.connect(url) as session:
        session.execute(shop.CHANGES[change].encode())
    with databases.lend() as another:
        assert url != another


@pytest.mark.long
@pytest.mark.parametrize("change", shop.CHANGES)
def test_the_one_that_comes_instead_is_the_template(
    databases: Databases, template: full_dump.Dump, change: str
) -> None:
    """With the same contents; and the dump sees the change, else it would prove nothing."""
    with databases.lend() as url:
        with shop.connect(url) as session:
            session.execute(shop.CHANGES[change].encode())
        assert {} != full_dump.difference(template, dump(databases, url))
    with databases.lend() as another:
        assert {} == full_dump.difference(template, dump(databases, another))


@pytest.mark.parametrize("left", SESSIONS)
def test_what_a_session_leaves_open_ends_with_it(databases: Databases, template: full_dump.Dump, left: str) -> None:
    """The session is still connected when the test has ended; the next one finds nothing of it."""
    with databases.lend() as url:
        session = shop.connect(url)
        with contextlib.suppress(psycopg.errors.RaiseException):
            session.execute(SESSIONS[left].encode())
    with databases.lend() as another:
        assert url == another
        assert {} == full_dump.difference(template, dump(databases, another))
        with shop.connect(another) as following:
            assert (0,) == following.execute(LOCKS).fetchone()
            assert (0,) == following.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


def test_a_session_that_holds_rows_is_ended_before_anything_is_deleted(
    databases: Databases, template: full_dump.Dump
) -> None:
    """Its uncommitted changes of committed rows neither block the rewind nor survive it."""
    with databases.lend() as url:
        with shop.connect(url) as session:
            session.execute("INSERT INTO plain_1 (text) VALUES ('a')")
        session = shop.connect(url)
        session.execute("BEGIN; UPDATE plain_1 SET text = 'b'; DELETE FROM countries")
    with databases.lend() as another:
        assert url == another
        assert {} == full_dump.difference(template, dump(databases, another))
    session.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TYPE another AS ENUM ('a')",
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "CREATE SCHEMA another",
        "ALTER TABLE plain_5 ALTER COLUMN number SET STATISTICS 7",
        "COMMENT ON TABLE plain_5 IS 'mine'",
        "ALTER FUNCTION one() STABLE",
    ],
)
def test_a_change_that_is_not_counted_is_read(databases: Databases, statement: str) -> None:
    """A superuser's session may have its writes left out of Postgres's counters."""
    assert not after(databases, f"SET track_counts = off; {statement}")[0]


def test_what_fails_to_be_rewound_does_not_hide_what_was_done_to_the_server(databases: Databases) -> None:
    """The table is gone, and a role is there that no clone undoes."""
    with pytest.raises(SharedStateError, match="pg_authid"):
        after(databases, "DROP TABLE plain_5; CREATE ROLE left_behind")
    with databases.server.connect() as connection:
        connection.execute("DROP ROLE left_behind")


def test_ddl_in_an_open_transaction_is_undone(databases: Databases, template: full_dump.Dump) -> None:
    """Whether by its end or with the whole database."""
    with databases.lend() as url:
        session = shop.connect(url)
        session.execute("BEGIN; DROP TABLE plain_1; CREATE TABLE plain_1 (id int)")
    with databases.lend() as another:
        assert {} == full_dump.difference(template, dump(databases, another))
    session.close()


def test_a_temporary_table_is_gone(databases: Databases, template: full_dump.Dump) -> None:
    """With the schema that Postgres makes for it, and keeps."""
    rewound, found = after(databases, "CREATE TEMPORARY TABLE mine (id int)")
    assert not rewound
    assert {} == full_dump.difference(template, found)


def test_a_prepared_transaction_is_rolled_back(databases: Databases, template: full_dump.Dump) -> None:
    """It outlives its session, holds locks, and would keep the database from being dropped."""
    statement = "BEGIN; DROP TABLE plain_1; PREPARE TRANSACTION 'it''s mine'"
    rewound, found = after(databases, statement)
    assert not rewound
    assert {} == full_dump.difference(template, found)
    with databases.server.connect() as connection:
        assert [] == connection.execute("SELECT gid FROM pg_prepared_xacts").fetchall()


def test_counters_that_were_reset_prove_nothing(databases: Databases) -> None:
    """A change of what came with Postgres is noticed by counters; with them the proof is gone."""
    assert not after(databases, "SELECT pg_stat_reset()")[0]
    reset = "SELECT pg_stat_reset_single_table_counters('pg_proc'::regclass)"
    assert not after(databases, "ALTER FUNCTION pg_catalog.random() COST 7", reset)[0]


def test_whoever_ends_the_kits_session_gets_another_database(databases: Databases, template: full_dump.Dump) -> None:
    """Nothing is known about the database then."""
    rewound, found = after(databases, END_OTHERS)
    assert not rewound
    assert {} == full_dump.difference(template, found)


@pytest.mark.parametrize(
    ("leaves", "undo"),
    [
        ("CREATE ROLE left_behind", "DROP ROLE left_behind"),
        ("ALTER ROLE pgdst SET work_mem = '7MB'", "ALTER ROLE pgdst RESET work_mem"),
        ("ALTER ROLE ALL SET work_mem = '7MB'", "ALTER ROLE ALL RESET work_mem"),
        ("COMMENT ON ROLE pgdst IS 'mine'", "COMMENT ON ROLE pgdst IS NULL"),
        ("GRANT pg_monitor TO pg_read_all_data", "REVOKE pg_monitor FROM pg_read_all_data"),
    ],
)
def test_what_is_left_in_the_whole_server_is_an_error(databases: Databases, leaves: str, undo: str) -> None:
    """No clone would be rid of it; put back, it is none, and the next one is not blamed."""
    with pytest.raises(SharedStateError, match="share was changed"):
        after(databases, leaves)
    with databases.lend():
        pass
    with pytest.raises(SharedStateError):
        after(databases, undo)


def steps() -> st.SearchStrategy[list[tuple[str, str]]]:
    """Return what a borrower does: statements, each committed, rolled back, or left open in a session of its own."""
    ends = st.sampled_from(["commit", "commit", "roll back", "leave"])
    writes, changes = st.sampled_from([*shop.WRITES.values()]), st.sampled_from([*shop.CHANGES.values()])
    return st.one_of(
        st.lists(st.tuples(writes, ends), max_size=8), st.lists(st.tuples(writes | changes, ends), max_size=6)
    )


def test_whatever_is_done_the_next_one_finds_the_template(databases: Databases, template: full_dump.Dump) -> None:
    """Writes and DDL in any order, committed or not: the dumps are equal, after a rewind and after a new clone."""
    outcomes: Counter[bool] = Counter()

    @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(steps())
    def examples(drawn: list[tuple[str, str]]) -> None:
        with databases.lend() as url:
            sessions = [do(url, statement, end) for statement, end in drawn]
        with databases.lend() as another:
            outcomes[url == another] += 1
            assert {} == full_dump.difference(template, dump(databases, another))
        for session in sessions:
            session.close()

    examples()
    assert outcomes[True] >= 5
    assert outcomes[False] >= 5


def do(url: str, statement: str, end: str) -> psycopg.Connection:
    """Run a statement; one that cannot be run now (its table is gone, or locked) is no matter here."""
    session = shop.connect(url)
    with contextlib.suppress(psycopg.Error):
        session.execute("SET lock_timeout = '10ms'")
        session.execute((statement if end == "commit" else f"BEGIN; {statement}").encode())
    with contextlib.suppress(psycopg.Error):
        if end == "roll back":
            session.execute("ROLLBACK")
    if end != "leave":
        session.close()
    return session
