"""The bugs by which `make bench` measures explore and its rivals are bugs, and their twins are right."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KIT, explored_databases
from pgdst.database.databases import Databases
from pgdst.simulation.explore.explore import FoundError, explore
from sqlalchemy import create_engine

sys.path.insert(0, str(KIT / "tools" / "benchmark"))
from rivals import bugs, with_explore
from rivals.run_all import answer_of, lines
from rivals.table import cells_of

FOUND = {"found": True, "schedules": 2, "seconds": 0.2, "search seconds": 0.1}


@pytest.fixture(scope="module")
def rivals_databases() -> Iterator[Databases]:
    """Clean databases with the tables of all bugs."""
    with explored_databases(bugs.SCHEMA.encode()) as databases:
        yield databases


@pytest.mark.parametrize("name", bugs.BUGS)
def test_explore_finds_the_bug_by_one_preemption_or_one_fault(rivals_databases: Databases, name: str) -> None:
    with rivals_databases.lend() as url, pytest.raises(FoundError, match="replayed 10 of 10") as found:
        getattr(with_explore, name)(psycopg2(url), *bugs.BUGS[name].wrong)
    assert 1 == found.value.result.preemptions + len(found.value.schedule.faults)


@pytest.mark.parametrize("name", bugs.BUGS)
def test_explore_does_not_report_the_twin(rivals_databases: Databases, name: str) -> None:
    with rivals_databases.lend() as url:
        getattr(with_explore, name)(psycopg2(url), *bugs.BUGS[name].right)


def test_the_race_inside_a_statement_is_not_one_between_statements(rivals_databases: Databases) -> None:
    """Else it would be a check before an insert once more."""
    clients = dict(zip(("ada", "bob"), bugs.BUGS["inside_a_statement"].wrong, strict=True))
    with rivals_databases.lend() as url:
        explore(
            create_engine(psycopg2(url)),
            setup=bugs.no_tags,
            clients=clients,
            check=bugs.there_is_one_tag,
            inside_statements=False,
        )


def test_a_tool_that_hangs_or_fails_costs_one_cell() -> None:
    """What it has started is ended, too."""
    hung = answer_of(["sh", "-c", "sleep 60 & wait"], 0.2)
    failed = answer_of(["sh", "-c", "echo no such driver >&2; exit 3"], 60)
    row = {"bug": "deadlock", "tool": "other", "lines": 9, "wrong": [FOUND, hung], "right": failed}
    assert ("deadlock", "other", "no end after 0.2 s", "-", "-", "-", "-", "9", "status 3: no such driver") == cells_of(
        row
    )


def test_the_lines_of_a_test_are_those_of_a_file_with_it_alone(tmp_path: Path) -> None:
    (tmp_path / "with_it.py").write_text(
        textwrap.dedent('''
            """A docstring
            of two lines."""
            import tool

            def shared():
                """Another."""
                return 1

            def lost_update(database):
                tool.explore(
                    database,
                )

            def deadlock(database):
                tool.explore(database)
        ''')
    )
    assert (7, 5) == tuple(lines(tmp_path / "with_it.py", name) for name in ("lost_update", "deadlock"))


def psycopg2(url: str) -> str:
    """Return the URL with the driver that the benchmark has for all."""
    return url.replace("+psycopg:", "+psycopg2:")
