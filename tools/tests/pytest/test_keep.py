"""KEEP=1 keeps the database of a failed run for a while, and nothing else."""

import re
from pathlib import Path

import psycopg
import pytest
import tiny_backend
from conftest import ENGINES, PYTHON, Sandbox

KIT = tiny_backend.KIT
FAILING = '''
import psycopg


def test_something_is_written_and_then_fails(database):
    """The failure's database has a row."""
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("INSERT INTO things VALUES (4711)")
    raise AssertionError("on purpose")
'''
PASSING = FAILING.replace('raise AssertionError("on purpose")', "pass")
A_MOMENT = "0.0015"  # hours: 5.4 seconds


def run(sandbox: Sandbox, engine: str, simulation: str, **environment: str) -> "tuple[int, str, str]":
    """Return the exit status, stdout and stderr of a run of a simulation."""
    (sandbox.root / "tests" / "simulation" / "test_tiny.py").write_text(simulation)
    command = (PYTHON, KIT / "tools" / "run_simulation.py")
    ran = sandbox.with_postgres("--engine", engine, "--", *command, **environment)
    return ran.returncode, ran.stdout, ran.stderr


def rows(url: str) -> list[tuple[int]]:
    """Return the rows of the only table of a database."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT id FROM things").fetchall()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_database_of_a_failure_stays_until_db_down(sandbox: Sandbox, engine: str) -> None:
    """The printed URL works for psql and for SQLAlchemy."""
    status, out, err = run(sandbox, engine, FAILING, PGDST_KEEP="1")
    assert 1 == status, out + err
    [url] = re.findall(r"^psql '(\S+)'$", out, re.MULTILINE)
    assert f"database of the failure: {url.replace('://', '+psycopg://')}" in out
    assert "Kept for 12 h" in err
    assert [(4711,)] == rows(url)
    down = sandbox.script("db_down.py", PGDST_ENGINE=engine)
    assert down.stderr.startswith("Removed "), down.stderr
    with pytest.raises(psycopg.OperationalError):
        rows(url)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_a_kept_database_goes_by_itself_when_its_time_is_over(sandbox: Sandbox, engine: str) -> None:
    """After TTL_HOURS the server removes itself."""
    status, out, err = run(sandbox, engine, FAILING, PGDST_KEEP="1", PGDST_TTL_HOURS=A_MOMENT)
    assert 1 == status, out + err
    assert "Kept for 0.0015 h" in err
    assert sandbox.leftovers.left() != {}
    assert sandbox.leftovers.left_after(60) == {}


@pytest.mark.parametrize(
    ("simulation", "environment"),
    [
        (PASSING, {"PGDST_KEEP": "1"}),
        pytest.param(FAILING, {"PGDST_KEEP": "0"}, marks=pytest.mark.long),
        pytest.param(FAILING, {}, marks=pytest.mark.long),
    ],
)
def test_nothing_is_kept_of_a_run_that_passed_or_of_which_nothing_was_wanted(
    sandbox: Sandbox, simulation: str, environment: dict[str, str]
) -> None:
    """Then no URL is printed."""
    _status, out, err = run(sandbox, "docker", simulation, **environment)
    assert "psql '" not in out
    assert "Kept" not in err
    assert sandbox.leftovers.left_after() == {}


def test_a_failed_run_shows_the_last_lines_of_the_servers_log(sandbox: Sandbox) -> None:
    """Postgres's own errors often show the cause."""
    ran = sandbox.with_postgres("--", "psql", "--command", "SELECT no_such_column FROM things")
    assert 1 == ran.returncode
    assert "The last lines of the server's log:" in ran.stderr
    assert 'ERROR:  column "no_such_column" does not exist' in ran.stderr.partition("The last lines")[2]


def test_what_failed_without_a_test_leaves_nothing_to_keep(sandbox: Sandbox) -> None:
    """A wrong option, or another command, has no database of a failure."""
    ran = sandbox.with_postgres("--", "sh", "-c", "exit 4", PGDST_KEEP="1")
    assert 4 == ran.returncode
    assert "Kept" not in ran.stderr
    assert sandbox.leftovers.left_after() == {}


def test_keep_is_0_or_1(sandbox: Sandbox) -> None:
    """Anything else is refused before anything starts."""
    ran = sandbox.with_postgres("--", "true", PGDST_KEEP="banana")
    assert (2, "Error: KEEP is 'banana'. It must be 0 or 1.\n") == (ran.returncode, ran.stderr)


def test_a_migration_that_fails_leaves_nothing_to_keep(sandbox: Sandbox) -> None:
    """There is no failure of the simulation to look at."""
    versions: Path = sandbox.root / "migrations" / "versions"
    (versions / "0001_things.py").write_text("raise RuntimeError('on purpose')\n")
    ran = sandbox.with_postgres("--", "true", PGDST_KEEP="1")
    assert 1 == ran.returncode
    assert "Kept" not in ran.stderr
    assert sandbox.leftovers.left_after() == {}
