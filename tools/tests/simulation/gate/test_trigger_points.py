"""Yield points inside statements: after the snapshot and before each row."""

import pytest
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from races import Races, deposit
from sqlalchemy import Engine, text

ONCE = "INSERT INTO names SELECT 'bootstrap' WHERE NOT EXISTS (SELECT FROM names)"


def migrate(engine: Engine) -> None:
    """Insert the row, unless it exists."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(ONCE))


def searched(races: Races, *, inside_statements: bool) -> Result | None:
    """Return the first run with two rows at its end among all schedules with two preemptions, or None."""
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=inside_statements)
    search = Exhaustive(preemptions=2)
    for strategy in search:
        result = races.run(simulation, [lambda: migrate(engine)] * 2, strategy)
        if races.value("SELECT count(*) FROM names") == 2:
            return result
    assert search.is_exhausted
    return None


def test_two_inserts_where_nothing_exists_are_found_to_overlap_inside_only(races: Races) -> None:
    """Each is one statement, so no schedule between statements finds the bug. All schedules are tried."""
    assert searched(races, inside_statements=False) is None
    found = searched(races, inside_statements=True)
    assert found is not None
    assert 1 == found.preemptions
    assert "stops inside" in {step.answer for step in found.steps}


def test_each_row_is_a_place_of_its_own(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=True)

    def fill() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO names SELECT n::text FROM generate_series(1, 4) n"))

    result = races.run(simulation, [fill], Uniform(0))
    assert 1 + 4 == sum(step.answer == "stops inside" for step in result.steps)


def test_the_seed_decides_inside_statements_too(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=True)
    clients = [deposit(engine, 1, 2), deposit(engine, 2, 1, locking=False), lambda: migrate(engine)]
    hashes = [races.run(simulation, clients, Uniform(seed)).trace.hexdigest() for seed in [*range(8), *range(8)]]
    assert hashes[:8] == hashes[8:]
    assert 8 == len(set(hashes))


@pytest.mark.parametrize("inside_statements", [False, True])
def test_outside_a_run_the_triggers_let_everybody_pass(races: Races, inside_statements: bool) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=inside_statements)
    races.run(simulation, [deposit(engine, 1)] * 2, Uniform(0))
    deposit(engine, 1)()
    races.observer.execute("INSERT INTO names VALUES ('unhindered')")
    assert 3 == races.balances()[0]


def test_a_schedule_inside_statements_can_be_written_down(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=True)
    clients = [lambda: migrate(engine)] * 2
    result = races.run(simulation, clients, Uniform(3))
    again = races.run(simulation, clients, Schedule.parse(str(result.schedule)))
    assert result.trace.lines == again.trace.lines
