"""What passes in real time, or by a signal from another session, changes no run silently: such a run is refused."""

import time

import pytest
from pgdst.errors import InconclusiveError
from pgdst.simulation.strategies.schedule import Schedule
from races import Races
from sqlalchemy import text

LOCK = text("SELECT FROM accounts WHERE id = 1 FOR UPDATE")


def run(races: Races, setting: str, schedule: str, *, seconds: float = 0.0) -> None:
    """Ada locks a row, and sleeps in real time before her COMMIT; bob wants the row, too. Both have a setting."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def lock() -> None:
        with engine.begin() as connection:
            connection.execute(text(setting))
            connection.execute(LOCK)
            connection.execute(text("SELECT 1"))
            time.sleep(seconds)

    races.run(simulation, [lock, lock], Schedule.parse(schedule))


WAITS = "ada*3 bob*3 ada*2 bob*3"  # bob waits for the row until ada commits


def test_a_lock_timeout_that_passes_is_no_result(races: Races) -> None:
    with pytest.raises(InconclusiveError, match="The server's lock_timeout ended SELECT FROM accounts"):
        run(races, "SET LOCAL lock_timeout = '20ms'", WAITS, seconds=0.1)


def test_a_statement_timeout_that_passes_is_no_result(races: Races) -> None:
    with pytest.raises(InconclusiveError, match="The server's statement_timeout ended SET LOCAL"):
        run(races, "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(1)", "ada*3")


def test_a_transaction_that_idles_for_too_long_is_no_result(races: Races) -> None:
    with pytest.raises(InconclusiveError, match="idle_in_transaction_session_timeout ended a session"):
        run(races, "SET LOCAL idle_in_transaction_session_timeout = '20ms'", WAITS, seconds=0.2)


def test_a_lock_timeout_that_does_not_pass_changes_nothing(races: Races) -> None:
    run(races, "SET LOCAL lock_timeout = '60s'", WAITS)


def test_nowait_is_a_result(races: Races) -> None:
    """It has the SQLSTATE of a lock time-out, and depends on the schedule alone."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def lock() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT FROM accounts WHERE id = 1 FOR UPDATE NOWAIT"))

    result = races.run(simulation, [lock, lock], Schedule.parse("ada*2 bob*3 ada"))
    assert ["bob"] == list(result.errors)
