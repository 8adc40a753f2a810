"""Put downloaded failures of searches into .pgdst/failures, where the next run of the simulation tries them first."""

from pathlib import Path

import click

from pgdst import project
from pgdst.cli import project_options, say, script


@script
@project_options
@click.option(
    "--from",
    "folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="PGDST_FROM",
    help="A search, a merged report, or a folder with some below.",
)
def main(backend: Path | None, alembic_ini: Path | None, simulation: Path | None, folder: Path) -> None:
    """Put the failures of searches in a folder into .pgdst/failures, as numbers of shards; nothing else is taken.

    Example: {fetch-failures} --from downloaded
    """
    from pgdst.search.fetching import fetch, found_with_other_sources
    from pgdst.search.sources import sources

    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    for file, failure in fetch(folder, found.root):
        say(f"Shard {failure.shard} of seed {failure.seed}: {failure.wrong.splitlines()[0]}")
        click.echo(file)
    if found_with_other_sources(folder, sources(found)):
        say("They were found with other sources than these: they may pass here. Check out the same commit to see them.")
