"""What no rule would notice that it was forgotten."""

import psycopg
from pgdst import SimulatedClock
from simulation.machine import DeepSciFiModel

EVERY_TIME = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'timestamp with time zone' ORDER BY 1, 2
"""


def test_the_invariant_of_time_reads_every_column_that_holds_one(database: str) -> None:
    """Whoever adds a column with a time names it in the model of its domain."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        columns = connection.execute(EVERY_TIME).fetchall()
    stored = DeepSciFiModel(SimulatedClock()).stored_times()
    assert columns == [(table, column) for table, column, *_key in stored]
