"""Check that the same seed gives the same run, whatever surrounds it."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgdst import project
from pgdst.cli import project_options, say, script
from pgdst.errors import ConfigurationError
from pgdst.pytest.simulation_run import FAULTS, cores
from pgdst.server import address

if TYPE_CHECKING:
    from pgdst.determinism.check import Comparison

# Of pgdst.determinism.check and of the gate, which take time to import.
CONDITIONS = ("docker", "embedded", "jitter", "busy")
DRIVERS = ("psycopg", "psycopg_async", "psycopg2", "asyncpg", "pg8000")


@script
@project_options
@click.option(
    "--seeds", type=click.IntRange(1), default=20, show_default=True, envvar="PGDST_SEEDS", help="How many seeds."
)
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first seed.")
@click.option("--workload-seeds", type=click.IntRange(0), help="How many seeds of the workload (default: 10 times).")
@click.option("--simulation-seeds", type=click.IntRange(0), help="How many seeds of the simulation (default: --seeds).")
@click.option("--profile", default="quick", show_default=True, help="How thorough the simulation's runs are.")
@click.option("--examples", type=click.IntRange(1), help="How many examples they have (default: the profile's).")
@click.option(
    "--faults",
    type=click.Choice(FAULTS),
    default="all",
    show_default=True,
    help="Which faults strike; all: also those that strike the whole server.",
)
@click.option(
    "--condition",
    "conditions",
    type=click.Choice(CONDITIONS),
    multiple=True,
    help="One in which each seed runs; may be given again, also the same (default: each once).",
)
@click.option(
    "--driver",
    type=click.Choice(DRIVERS),
    default="psycopg",
    show_default=True,
    help="What the workload's engine is on.",
)
@click.option("--jobs", type=click.IntRange(1), default=cores(), show_default=True, help="How many run at a time.")
@click.option("--exitfirst", "-x", is_flag=True, help="Stop at the first seed that differs.")
@click.option("--write", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), hidden=True)
@click.option("--jitter", type=int, hidden=True)
@click.option("--backwards", is_flag=True, hidden=True)
def main(
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    seeds: int,
    first: int,
    workload_seeds: int | None,
    simulation_seeds: int | None,
    profile: str,
    examples: int | None,
    faults: str,
    conditions: tuple[str, ...],
    driver: str,
    jobs: int,
    exitfirst: bool,
    folder: Path | None,
    jitter: int | None,
    backwards: bool,
) -> None:
    """Run each seed in every condition, and print the first line that differs.

    docker: alone on a new server. embedded: on that engine, after another seed in the same databases. jitter: with
    random waits wherever the kit touches the world. busy: beside as many busy processes as there are cores.

    Example: {check-determinism} --seeds 500 --simulation-seeds 0 --condition jitter --condition jitter --jobs 8
    """
    if folder:
        _write(folder, range(first, first + seeds), faults, driver, jitter, backwards=backwards)
        return
    from pgdst.determinism import check as determinism

    tested = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    chosen = [determinism.CONDITIONS[name] for name in conditions or CONDITIONS]
    if len(chosen) < 2:
        raise click.UsageError("One condition alone compares nothing. Give --condition twice or more.")
    check = determinism.Check(tested, chosen, faults, say, driver=driver, jobs=jobs, exit_first=exitfirst)
    found = []
    if workload_seeds == simulation_seeds == 0:
        raise click.UsageError("Without seeds nothing is compared. Leave out one of the zeros.")
    if workload := 10 * seeds if workload_seeds is None else workload_seeds:
        found.append(check.workload(range(first, first + workload)))
    if (simulated := seeds if simulation_seeds is None else simulation_seeds) and not (exitfirst and _differ(found)):
        found.append(check.simulation(range(first, first + simulated), profile, examples))
    for one in found:
        for place, difference in one.differences:
            click.echo(f"{place}, {difference}\n{difference.in_context()}\n")
    click.echo("\n".join(map(str, found)))
    if _differ(found):
        raise click.ClickException("The same seed gave different runs: see above.")


def _differ(found: "list[Comparison]") -> bool:
    return any(one.differences for one in found)


def _write(folder: Path, seeds: range, faults: str, driver: str, jitter: int | None, *, backwards: bool) -> None:
    """Compare nothing: run the workload once with each seed on the run's server, and write the traces to the folder."""
    # psycopg says on stderr that a pipeline's connection broke, which is what the fault is.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    from pgdst.determinism.check import write_traces
    from pgdst.simulation import jitter as jitters

    server = address.from_environment(os.environ)
    if server is None:
        raise ConfigurationError("There is no server to run on. Call it by: make check-determinism")
    if jitter is not None:
        jitters.install(jitter)
    write_traces(server, reversed(seeds) if backwards else seeds, faults, folder, driver)
