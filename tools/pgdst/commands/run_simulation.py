"""Run the backend's simulation with pytest, on the run's server or on a leased one that pytest starts itself."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from pgdst import project
from pgdst.cli import project_options, say, script
from pgdst.pytest import failures, replay
from pgdst.pytest.simulation_run import FAULTS, command, default_workers, environment


@script
@project_options
@click.option("--seed", type=click.IntRange(0), envvar="PGDST_SEED", help="The same seed gives the same run.")
@click.option("--profile", envvar="PGDST_PROFILE", help="How thorough; the names are the simulation's own.")
@click.option("--examples", type=click.IntRange(1), envvar="PGDST_EXAMPLES", help="How many runs of the machine.")
@click.option("--faults", type=click.Choice(FAULTS), envvar="PGDST_FAULTS", help="Which faults strike.  [default: all]")
@click.option("--shard", type=click.IntRange(0), envvar="PGDST_SHARD", help="Run this shard of the run alone.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    envvar="PGDST_WORKERS",
    help="How many processes take the shards; changes nothing else.  [default: the cores, at most 8]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    seed: int | None,
    profile: str | None,
    examples: int | None,
    faults: str | None,
    shard: int | None,
    workers: int | None,
    arguments: tuple[str, ...],
) -> None:
    """Run the simulation; ARGUMENTS after `--` go to pytest.

    Example: {run-simulation} --seed 7 --examples 50
    """
    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    keeps = [f"--pgdst-keep-failures={found.root}"]
    processes = 1 if os.environ.get("PGDST_KEEP") == "1" else workers or default_workers()
    pytest = command(
        found, chosen, profile, examples, [*keeps, *arguments], workers=processes, shard=shard, faults=faults
    )
    places = [(name.replace("_", "-"), path) for name, path in _given(project.PATHS)]
    if shard is None:
        _try_what_failed_before(found, places)
    os.chdir(found.backend)
    again = replay.of_a_simulation(chosen, profile, examples, faults, places)
    os.execve(sys.executable, pytest, environment(again))  # noqa: S606  # no shell wanted


def _given(names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield those of these options that the command line has, and no variable."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            yield name, context.params[name]


def _try_what_failed_before(found: project.Project, places: Sequence[tuple[str, Path]]) -> None:
    """Run the shards that have failed in earlier runs, and exit where one of them fails still."""
    for file, one in failures.kept(found.root):
        say(f"Shard {one.shard} of seed {one.seed} failed before and is tried first: {one.wrong.splitlines()[0]}")
        again = command(found, one.seed, one.profile, one.examples, [], shard=one.shard, faults=one.faults)
        line = replay.of_a_simulation(one.seed, one.profile, one.examples, one.faults, places)
        status = subprocess.run(again, cwd=found.backend, env=environment(line), check=False).returncode
        if status:
            say(f"It fails still. Remove {file} to leave it out.")
            sys.exit(status)
        file.unlink()
        say("It passes now.")
