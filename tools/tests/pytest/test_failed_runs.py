"""A failed run of several clients is kept, told to CI, tried first the next time, and forgotten when it passes."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree as Xml  # of our own making

import pytest
from conftest import KIT, PYTHON, Sandbox

EXPLORES = """
import os
from pgdst import explore
from sqlalchemy import create_engine, text


def test_it(database):
    lock = " FOR UPDATE" if os.environ.get("MENDED") else ""

    def add(engine):
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT id FROM things WHERE id < 10" + lock))
            connection.execute(text("UPDATE things SET id = :new WHERE id < 10"), {"new": found + 1})

    print("runs:", explore(
        create_engine(database),
        setup=lambda connection: connection.execute(text("INSERT INTO things VALUES (0)")),
        clients={"ada": add, "bob": add},
        check=lambda connection: connection.scalar(text("SELECT id FROM things")) == 2,
    ))
"""
SIMULATES = """
from pgdst import Schedule
from sqlalchemy import create_engine, text


def test_it(simulation, database):
    engine = create_engine(database)
    simulation.attach(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO things VALUES (0)"))

    def add():
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT id FROM things"))
            connection.execute(text("UPDATE things SET id = :new"), {"new": found + 1})

    simulation.spawn("ada", add)
    simulation.spawn("bob", add)
    simulation.run(Schedule.parse("ada*2 bob*4 ada*2"))
    with engine.connect() as connection:
        assert 2 == connection.scalar(text("SELECT id FROM things"))
"""
HAPPENED = "ada read things at step 2 (id=0), bob changed it and committed at step 6, and ada wrote it at step 7."


@pytest.fixture
def folder(sandbox: Sandbox) -> Path:
    return sandbox.root / ".pgdst" / "failures"


def run(sandbox: Sandbox, test: str, **environment: str) -> tuple[int, str]:
    """Run a test; return the exit status and the output."""
    (sandbox.root / "tests" / "test_it.py").write_text(test)
    arguments = ("-q", "-s", "-p", "pgdst.pytest.plugin", "--pgdst-engine=embedded", "--junitxml=junit.xml")
    command: list[str | Path] = [PYTHON, "-m", "pytest", *arguments, "tests/test_it.py"]
    done = sandbox.run(*command, PYTHONPATH=f"{KIT / 'tools'}{os.pathsep}{sandbox.root}", **environment)
    return done.returncode, done.stdout + done.stderr


def test_what_explore_finds_is_kept_and_tried_first_until_it_passes(sandbox: Sandbox, folder: Path) -> None:
    status, told = run(sandbox, EXPLORES)
    assert 1 == status, told
    assert HAPPENED in told
    kept = json.loads((folder / "tests_test_it.py_test_it.json").read_text())
    assert ("tests/test_it.py::test_it", "ada*2 bob*4 ada*2", HAPPENED) == (
        kept["test"],
        kept["schedule"],
        kept["happened"],
    )
    page = folder / "tests_test_it.py_test_it.html"
    assert f"page: {page}" in told
    assert HAPPENED in page.read_text()
    assert "*\n" == (folder.parent / ".gitignore").read_text()

    status, told = run(sandbox, EXPLORES)
    assert 1 == status, told
    assert "failed as before" in told

    status, told = run(sandbox, EXPLORES, MENDED="1")
    assert 0 == status, told
    assert "tests/test_it.py::test_it passes again" in told
    assert [] == list(folder.iterdir())
    status, told = run(sandbox, EXPLORES)
    assert "found after" in told
    assert "failed as before" not in told


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"schedule": 5}',
        *(
            f'{{"test": "tests/test_it.py::test_it", "is_explored": true{rest}}}'
            for rest in ("", ', "schedule": "no*3"')
        ),
        '{"test": "tests/test_it.py::test_another", "is_explored": true, "schedule": "ada*2 bob*4 ada*2"}',
    ],
    ids=range(7),
)
def test_a_kept_file_that_does_not_fit_changes_nothing(sandbox: Sandbox, folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "tests_test_it.py_test_it.json").write_text(content)
    status, told = run(sandbox, EXPLORES)
    assert 1 == status, told
    assert "failed as before" not in told
    assert HAPPENED in told


def test_tests_whose_names_differ_by_odd_characters_have_files_of_their_own(sandbox: Sandbox, folder: Path) -> None:
    """In two processes, with a summary that cannot be written, and with what XML and HTML do not allow in the SQL."""
    test = EXPLORES.replace(
        "def test_it(database):",
        "import pytest\n\n@pytest.mark.parametrize('name', ['a b', 'a/b', 'é\\n' * 300], ids=str)\n"
        "def test_it(database, name):\n    if name == os.environ.get('SKIPPED'):\n        return",
    ).replace("WHERE id < 10", "WHERE id < 10 AND '\\x01\\x1b]</script>' <> ''")
    away = str(sandbox.scratch / "none" / "summary.md")
    status, told = run(sandbox, test, GITHUB_STEP_SUMMARY=away, PYTEST_ADDOPTS="-n 2")
    assert 1 == status, told
    assert "INTERNALERROR" not in told
    assert "The summary for GitHub cannot be written" in told
    properties = list(Xml.parse(sandbox.root / "junit.xml").iter("property"))  # noqa: S314  of our own making
    assert 3 == sum(one.attrib["name"] == "pgdst_schedule" for one in properties)
    assert 6 == len(list(folder.iterdir()))
    for page in folder.glob("*.html"):
        assert "</script>' <> ''" not in page.read_text()
    status, told = run(sandbox, test, SKIPPED="a b")
    assert "test_it[a b] passes again" in told
    assert 4 == len(list(folder.iterdir()))
    # CI's summary shows it again.
    assert 2 == sum(line.startswith("E  ") and "failed as before" in line for line in told.splitlines()), told


def test_a_page_that_cannot_be_removed_breaks_nothing(sandbox: Sandbox, folder: Path) -> None:
    status, told = run(sandbox, EXPLORES)
    page = folder / "tests_test_it.py_test_it.html"
    page.unlink()
    page.mkdir()
    status, told = run(sandbox, EXPLORES, MENDED="1")
    assert 0 == status, told
    assert "passes again" not in told


@pytest.mark.parametrize("test", [EXPLORES, SIMULATES], ids=["explore", "simulation"])
def test_ci_is_told(sandbox: Sandbox, folder: Path, test: str) -> None:
    """JUnit's XML has the schedule and the lanes, and GitHub's summary shows them."""
    summary = sandbox.scratch / "summary.md"
    status, told = run(sandbox, test, GITHUB_STEP_SUMMARY=str(summary))
    assert 1 == status, told
    found = {
        one.attrib["name"]: one.attrib["value"]
        for one in Xml.parse(sandbox.root / "junit.xml").iter("property")  # noqa: S314  of our own making
    }
    assert (HAPPENED, "ada*2 bob*4 ada*2") == (found["pgdst_happened"], found["pgdst_schedule"])
    assert "UPDATE things SET id = 1" in found["pgdst_lanes"]
    assert f"replay: {found['pgdst_replay']}" in told
    assert (folder / "tests_test_it.py_test_it.html").exists()
    text = summary.read_text()
    assert text.startswith(f"### tests/test_it.py::test_it\n\n{HAPPENED}\n\n```text\n step  ada")
    assert found["pgdst_replay"] in text


def test_the_trace_of_a_simulation_is_written(sandbox: Sandbox) -> None:
    """All runs of it; that of a test with shards is the shard's own."""
    again = SIMULATES.replace(
        "    with engine.connect()",
        "    simulation.spawn('cyd', add)\n    simulation.run(Schedule.parse('cyd*4'))\n    with engine.connect()",
    )
    status, told = run(sandbox, again, PYTEST_ADDOPTS="--pgdst-trace=run.trace")
    assert 0 == status, told
    lines = (sandbox.root / "run.trace").read_text().splitlines()
    assert "4 bob: SELECT id FROM things" in "\n".join(lines)
    assert ["8 ada: ends -> returned", "4 cyd: ends -> returned"] == [
        line for line in lines if line.split(": ")[-1] == "ends -> returned"
    ][-2:]


MACHINE = """
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pgdst import Concurrently, SimulatedClock, Simulation
from sqlalchemy import create_engine, text


def test_it(database, pgdst_server_processes):
    engine = create_engine(database)

    def add():
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT id FROM things"))
            connection.execute(text("UPDATE things SET id = :new"), {"new": found + 1})

    class Machine(Concurrently, RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.simulation = Simulation(pgdst_server_processes)
            self.simulation.attach(engine)
            with engine.begin() as connection:
                connection.execute(text("DELETE FROM things; INSERT INTO things VALUES (0)"))

        @rule(data=st.data())
        def both_add(self, data):
            with engine.begin() as connection:
                before = connection.scalar(text("SELECT id FROM things"))
            self.concurrently(data, ada=add, bob=add)
            with engine.begin() as connection:
                assert before + 2 == connection.scalar(text("SELECT id FROM things"))

        def teardown(self):
            self.simulation.close()

    quick = settings(max_examples=20, stateful_step_count=3, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=quick)
"""


def test_a_test_without_a_simulation_shows_no_run_of_another_one(sandbox: Sandbox, folder: Path) -> None:
    test = SIMULATES.replace("assert 2 ==", "assert 1 ==") + "\n\ndef test_alone():\n    assert False\n"
    status, told = run(sandbox, test)
    assert 1 == status, told
    assert "1 failed, 1 passed" in told
    assert "schedule: " not in told
    assert not folder.exists()


def test_the_failing_example_of_a_state_machine_has_a_page(sandbox: Sandbox, folder: Path) -> None:
    """It shows the last run of the smallest example, also of a simulation that the test's code has made itself."""
    status, told = run(sandbox, MACHINE)
    assert 1 == status, told
    page = folder / "tests_test_it.py_test_it.html"
    assert f"page: {page}" in told
    kept = json.loads(page.with_suffix(".json").read_text())
    assert kept["is_explored"] is False
    assert " wrote it at step " in kept["happened"]
    assert kept["schedule"].count("*") < 5  # it is small
