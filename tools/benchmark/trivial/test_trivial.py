"""The smallest simulation: one example, one step, one query."""

import psycopg
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

pytest_plugins = ["pgdst.pytest_plugin"]


def test_nobody_is_there_yet(database: str) -> None:
    """A migrated database is empty."""

    class Trivial(RuleBasedStateMachine):
        """A machine that looks."""

        @rule()
        def look(self) -> None:
            """There are no agents."""
            with psycopg.connect(database.replace("+psycopg", "")) as connection:
                assert connection.execute("SELECT count(*) FROM agents").fetchone() == (0,)

    chosen = settings(max_examples=1, stateful_step_count=1, database=None, deadline=None)
    run_state_machine_as_test(Trivial, settings=chosen)
