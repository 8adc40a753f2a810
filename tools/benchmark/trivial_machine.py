"""The smallest simulation: one example, one step, one query. The same for pgdst and for its peers."""

import psycopg
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test


def look_once(url: str) -> None:
    """Run it on a migrated database under a SQLAlchemy URL, in which there is nobody yet."""

    class Trivial(RuleBasedStateMachine):
        """A machine that looks."""

        @rule()
        def look(self) -> None:
            """There are no agents."""
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                assert connection.execute("SELECT count(*) FROM agents").fetchone() == (0,)

    chosen = settings(max_examples=1, stateful_step_count=1, database=None, deadline=None)
    run_state_machine_as_test(Trivial, settings=chosen)
