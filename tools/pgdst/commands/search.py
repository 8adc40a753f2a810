"""Run shards of a search, from a seed, for a time or a number, and go on after failures."""

import re
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from pgdst import project
from pgdst.cli import Finite, engine_options, project_options, say, script
from pgdst.errors import ConfigurationError
from pgdst.pytest.replay import DEFAULT_FAULTS
from pgdst.pytest.simulation_run import FAULTS, command, default_workers
from pgdst.search.plan import Range, Share

FOLDER: Final = Path(".pgdst") / "search"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class _Parsed(click.ParamType[Any]):
    """What a function of the plan reads from a text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a folder. Use letters, digits, and . _ - between them.")
    return text


@script
@project_options
@engine_options
@click.option("--seed", type=click.IntRange(0), envvar="PGDST_SEED", help="Of the search.  [default: drawn, printed]")
@click.option(
    "--shards", type=_Parsed("a-b", Range.parse), envvar="PGDST_SHARDS", help="From a to b, from 0.  [default: no end]"
)
@click.option("--minutes", type=Finite(0, min_open=True), envvar="PGDST_MINUTES", help="Start no shard after that.")
@click.option(
    "--share",
    type=_Parsed("i/n", Share.parse),
    envvar="PGDST_SHARE",
    default="1/1",
    show_default=True,
    help="Take the shards k with k % n == i - 1.",
)
@click.option("--name", type=_Parsed("name", _name), envvar="PGDST_NAME", help="Of the folder.  [default: seed-SEED]")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="PGDST_TO",
    help="The folder.  [default: .pgdst/search/NAME of the checkout]",
)
@click.option("--profile", envvar="PGDST_PROFILE", help="How thorough; the names are the simulation's own.")
@click.option(
    "--examples", type=click.IntRange(1), envvar="PGDST_EXAMPLES", help="How many runs of the machine a run has."
)
@click.option(
    "--faults",
    type=click.Choice(FAULTS),
    envvar="PGDST_FAULTS",
    default=DEFAULT_FAULTS,
    show_default=True,
    help="Which faults strike.",
)
@click.option(
    "--workers", type=click.IntRange(1), envvar="PGDST_WORKERS", help="How many processes.  [default: cores, at most 8]"
)
@click.option(
    "--shrink-seconds",
    type=Finite(0),
    envvar="PGDST_SHRINK_SECONDS",
    default=30.0,
    show_default=True,
    help="How long a new failure is shrunk.",
)
def main(
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    engine: str,
    image: str,
    offline_image: str,
    seed: int | None,
    shards: Range | None,
    minutes: float | None,
    share: Share,
    name: str | None,
    to: Path | None,
    profile: str | None,
    examples: int | None,
    faults: str,
    workers: int | None,
    shrink_seconds: float,
) -> None:
    """Run shards of a search, and collect what fails: in a folder, one line a shard.

    With K shards in a run, shard k of a search of seed S is shard k % K of the run of seed S + k // K. The same command
    goes on where it was. --shards or --minutes has to say when it ends.

    Example: {search} --seed 7 --shards 0-63 --share 1/2
    """
    if shards is None and minutes is None:
        raise click.UsageError(
            "The search would have no end. Give --shards (SHARDS=0-63), --minutes (MINUTES=60) or both."
        )
    from pgdst.search.folder import Folder, Identity
    from pgdst.search.ledger import Wanted
    from pgdst.search.search import Search
    from pgdst.search.sources import kit, packages, sources
    from pgdst.search.workers import Worker

    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    path = (to or found.root / FOLDER / (name or f"seed-{chosen}")).absolute()
    arguments = [f"--pgdst-shrink-seconds={shrink_seconds}", "--quiet"]
    pytest = [one for one in command(found, chosen, profile, examples, arguments, faults=faults) if one != "-x"]
    variables = {"PGDST_ENGINE": engine, "PGDST_IMAGE": image, "PGDST_OFFLINE_IMAGE": offline_image}

    def identify(shards_a_run: int) -> Identity:
        if shards_a_run == 0:
            raise ConfigurationError(f"No test in {found.simulation} is a shard: none uses run_shard.")
        return Identity(chosen, profile, faults, examples, shards_a_run, sources(found), packages(), kit())

    # click's own answer to it would be status 1.
    signal.signal(signal.SIGINT, lambda _number, _frame: sys.exit(130))
    say(f"search: seed {chosen}, into {path}")
    folder = Folder(path)
    with folder.locked() as scratch:
        search = Search(
            folder,
            Wanted(shards or Range(), share, minutes),
            start=lambda: Worker(found, pytest, variables, scratch),
            identify=identify,
            say=say,
        )
        sys.exit(int(search.run(workers or default_workers())))
