"""Put the folders of one search together: one report of all, as a page and as JSON."""

import os
import sys
from pathlib import Path

import click

from pgdst import project
from pgdst.cli import say, script
from pgdst.errors import ConfigurationError
from pgdst.pytest.failed_runs import SUMMARY


@script
@click.argument(
    "folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the report.  [default: .pgdst/search/merged of the checkout]",
)
@click.option("--partial", is_flag=True, help="Missing shards are no error.")
def main(folders: tuple[Path, ...], to: Path | None, partial: bool) -> None:
    """Merge searches in DIR..., or below, into one report; print its summary, and exit with 0 if nothing was found.

    Exit status 1: failures. 3: a shard has another hash in one folder than in another. 4: shards are missing. The
    folder has report.html, report.json and failures/. In GitHub Actions the summary goes to the job's, too.

    Example: {merge-searches} downloaded --to merged
    """
    from pgdst.search.merging import merge, searches_in
    from pgdst.search.report import Report, in_words, status_of

    merged = merge(searches_in(folders))
    report = Report(merged)
    written = (to or project.load().root / ".pgdst" / "search" / "merged").absolute()
    summary = "".join(f"{line}\n" for line in in_words(report.told))
    try:
        report.write(written)
        if file := os.environ.get(SUMMARY):
            with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as opened:
                opened.write(summary)
    except OSError as error:
        raise ConfigurationError(f"The report cannot be written: {error}.") from error
    click.echo(summary, nl=False)
    say(f"report: {written / 'report.html'}")
    sys.exit(status_of(merged, partial=partial))
