"""What no rule would notice that it was forgotten."""

import psycopg
from pgdst import SimulatedClock
from simulation.base import DeepSciFiBaseRules
from simulation.domains import parts_of
from simulation.engine.checks import INVARIANT, LIVENESS, RULES, checks_in, checks_of
from simulation.machine import DeepSciFi, DeepSciFiModel, DeepSciFiUnderFaults

EVERY_TIME = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'timestamp with time zone' ORDER BY 1, 2
"""


def test_the_invariant_of_time_reads_every_column_that_holds_one(database: str) -> None:
    """A new column with a time must be named in the model of its domain."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        columns = connection.execute(EVERY_TIME).fetchall()
    stored = DeepSciFiModel(SimulatedClock()).stored_times()
    assert columns == [(table, column) for table, column, *_key in stored]


def test_every_check_of_a_domain_is_in_a_machine() -> None:
    """A class with checks of kinds that no machine has together would be in none."""
    written = {check.name for part in parts_of(DeepSciFiBaseRules) for check in checks_in(vars(part).values())}
    assert written == {
        *checks_of(DeepSciFi, *RULES, INVARIANT, LIVENESS),
        *checks_of(DeepSciFiUnderFaults, *RULES, INVARIANT, LIVENESS),
    }
