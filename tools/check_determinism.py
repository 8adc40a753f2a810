#!/usr/bin/env python3
"""Check that the same seed gives the same run: twice in fresh databases, and again in another process.

Runs a workload of the kit's own, and the backend's simulation with some of the seeds; compares traces line by line.
Exit status: 0 all runs of a seed are equal; 1 some differ (the first line of each is printed), or one could not be
run; 2 wrong usage.
Example: tools/with_postgres.sh -- .venv/bin/python tools/check_determinism.py --seeds 500
"""

import logging
import os
from pathlib import Path

import click
from pgdst import project
from pgdst.cli import project_options, say, script
from pgdst.errors import ConfigurationError
from pgdst.server import address
from pgdst.simulation_run import FAULTS


@script
@project_options
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many seeds of the workload.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first seed.")
@click.option(
    "--simulation-seeds", type=click.IntRange(0), default=2, show_default=True, help="How many of the simulation."
)
@click.option("--profile", default="quick", show_default=True, help="How thorough the simulation's runs are.")
@click.option("--examples", type=click.IntRange(1), default=5, show_default=True, help="How many examples they have.")
@click.option(
    "--faults",
    type=click.Choice(FAULTS),
    envvar="PGDST_FAULTS",
    default="some",
    show_default=True,
    help="Which faults strike; all: also those that strike the whole server.",
)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Compare nothing: run the workload once with each seed, and write the traces to this folder.",
)
def main(
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    seeds: int,
    first: int,
    simulation_seeds: int,
    profile: str,
    examples: int,
    faults: str,
    folder: Path | None,
) -> None:
    """Run each seed three times on the run's server and a fresh one, and print the first line that differs.

    Example: with_postgres.sh -- check_determinism.py --seeds 500 --simulation-seeds 0 --faults all
    """
    # psycopg says on stderr that a pipeline's connection broke, which is what the fault is.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    from pgdst.determinism import compare_simulation, compare_workload, write_traces

    server = address.from_environment(os.environ)
    if server is None:
        raise ConfigurationError("There is no server to run on. Call it by: make check-determinism")
    if folder:
        write_traces(server, range(first, first + seeds), faults, folder)
        return
    say(f"The workload with {seeds} seeds …")
    found = [compare_workload(server, range(first, first + seeds), faults)]
    if simulation_seeds:
        say(f"The simulation with {simulation_seeds} seeds …")
        tested = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
        found.append(compare_simulation(tested, range(first, first + simulation_seeds), profile, examples, faults))
    differences = [difference for one in found for difference in one.differences]
    click.echo("\n".join([*map(str, found), *differences]))
    if differences:
        raise click.ClickException("The same seed gave different runs: see above.")


if __name__ == "__main__":
    main()
