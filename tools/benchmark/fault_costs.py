#!/usr/bin/env python3
"""What each kind of fault costs in real time, and what its parts do: one server, one round after another.

Runs in the kit's environment. Prints what was measured and its milliseconds as a JSON list of pairs on stdout.
Example: tools/with_postgres.sh -- .venv/bin/python tools/benchmark/fault_costs.py --rounds 7
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click
import psycopg
from schedules import Bench, bench, read, write
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.strategies.schedule import Schedule

NO_FAULT: Final = "no fault"
# A round takes most of its time for two crashes, and a single figure a round would say little of the spread.
TIMES_A_ROUND: Final = 2
ENDS_SECONDS: Final = 5.0


class Possible:
    """Strikes nobody, and notes the last step at which each kind could: little of the run is left out behind it."""

    def __init__(self) -> None:
        self.steps: dict[Fault, int] = {}

    def inject(self, step: int, possible: Sequence[Fault]) -> None:
        """Note it."""
        self.steps.update(dict.fromkeys(possible, step))


def deposit(engine: Engine) -> None:
    """Add one, and meanwhile look at another account by a new connection, as the pool keeps one only."""
    with engine.begin() as connection:
        balance = read(connection, 0)
        with engine.connect() as other:
            read(other, 1)
        write(connection, 0, balance + 1)


def steps_by_kind(made: Bench) -> dict[Fault, int]:
    """Return at which step each kind strikes."""
    possible = Possible()
    made.simulation.spawn("ada", deposit, made.engine)
    assert made.simulation.run(Schedule(()), possible).errors == {}
    assert possible.steps.keys() == set(Fault), f"no step for {set(Fault) - possible.steps.keys()}"
    return {kind: possible.steps[kind] for kind in Fault}


def run(made: Bench, faults: dict[int, Fault]) -> None:
    """Run it, struck by these."""
    made.simulation.spawn("ada", deposit, made.engine)
    result = made.simulation.run(Schedule((), faults))
    assert result.schedule.faults == faults
    assert faults or result.errors == {}, result.errors


def terminate(made: Bench, session: psycopg.Connection) -> None:
    """End a session, until it is gone."""
    backend = session.info.backend_pid
    made.backends.terminate([backend])
    assert made.backends.wait_until_gone(backend, ENDS_SECONDS)


def crash(made: Bench, session: psycopg.Connection) -> None:
    """Kill a session's backend, until the server has recovered and a new session answers."""
    made.backends.crash(session.info.backend_pid, [session.info.dbname])
    reconnect(made, session)


def reconnect(made: Bench, _session: psycopg.Connection) -> None:
    """Open a new connection and ask something."""
    with closing(made.backends.server.connect()) as connection:
        connection.execute("SELECT 1")


PARTS: Final[dict[str, Callable[[Bench, psycopg.Connection], None]]] = {
    "alone: terminate": terminate,
    "alone: crash and recover": crash,
    "alone: reconnect": reconnect,
}


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="How often.")
def main(rounds: int) -> None:
    """Measure every kind in each round, so that what slows the machine down for a while slows all of them down."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    times = rounds * TIMES_A_ROUND
    with bench(pool_size=1) as made:
        steps = steps_by_kind(made)
        kinds = [(NO_FAULT, {}), *((kind.value, {step: kind}) for kind, step in steps.items())]
        for name, faults in kinds * times:
            run(made, {})  # what came before, a crash perhaps, is nothing that this one costs
            begin = time.perf_counter()
            run(made, faults)
            run(made, {})  # which opens anew what the fault has closed
            took[name].append((time.perf_counter() - begin) * 1000)
        # After the runs: a crash outside of them ends their connections without their knowledge.
        for name, do in [*PARTS.items()] * times:
            with closing(made.backends.server.connect()) as session:
                begin = time.perf_counter()
                do(made, session)
                took[name].append((time.perf_counter() - begin) * 1000)
    click.echo(json.dumps(list(took.items())))


if __name__ == "__main__":
    main()
