#!/usr/bin/env python3
"""Run the backend's simulation with pytest, on the run's server or on a leased one that pytest starts itself.

Exit status: pytest's (0 passed, 1 failed, 2 interrupted, 4 wrong usage, 5 no tests); 1 for a wrong path.
Example: .venv/bin/python tools/run_simulation.py --seed 7 -- -k machine
"""

import os
import secrets
import sys
from pathlib import Path

import click
from pgdst import project
from pgdst.cli import project_options, script
from pgdst.simulation_run import FAULTS, check_connections, command, environment


@script
@project_options
@click.option("--seed", type=click.IntRange(0), envvar="PGDST_SEED", help="The same seed gives the same run.")
@click.option("--profile", envvar="PGDST_PROFILE", help="How thorough; the names are the simulation's own.")
@click.option("--examples", type=click.IntRange(1), envvar="PGDST_EXAMPLES", help="How many runs of the machine.")
@click.option(
    "--faults", type=click.Choice(FAULTS), envvar="PGDST_FAULTS", help="Which faults strike.  [default: some]"
)
@click.option("--workers", type=click.IntRange(1), envvar="PGDST_WORKERS", default=1, help="How many share the run.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    seed: int | None,
    profile: str | None,
    examples: int | None,
    faults: str | None,
    workers: int,
    arguments: tuple[str, ...],
) -> None:
    """Run the simulation; ARGUMENTS after `--` go to pytest.

    Example: run_simulation.py --seed 7 --examples 50
    """
    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    check_connections(workers)
    os.chdir(found.backend)
    pytest = command(found, chosen, profile, examples, arguments, workers, faults)
    os.execve(sys.executable, pytest, environment())  # noqa: S606  # no shell wanted


if __name__ == "__main__":
    main()
