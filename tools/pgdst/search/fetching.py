"""Taking failures from elsewhere. Of a downloaded file only checked numbers and words are kept, written anew."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.pytest.failures import Failure
from pgdst.search.kept import FAILURES, files_of_failures, read_failure, read_json

MOST: Final = 1000


def fetch(folder: Path, root: Path) -> Iterator[tuple[Path, Failure]]:
    """Write the failures in a folder, or below, into `.pgdst/failures` of a project; yield their files there.

    Raises: ConfigurationError, if there is none, or a file is not a failure; then nothing is written.
    """
    files = list(islice(files_of_failures(folder), MOST + 1))
    if not files:
        raise ConfigurationError(
            f"There are no failures in {folder}: no {FAILURES}/ with some is in it or below. "
            "Name the folder of a search, of a merged report, or that of the downloaded artefacts."
        )
    if len(files) > MOST:
        raise ConfigurationError(f"There are more than {MOST} failures in {folder}. Name the folder of fewer searches.")
    failures = {(one.seed, one.shard): one for one in map(read_failure, files)}
    for failure in failures.values():
        yield failure.keep(root), failure


def found_with_other_sources(folder: Path, sources: str) -> bool:
    """Tell whether a search or report in the folder, or below, names other sources than these."""
    return any(one != sources for one in _sources_in(folder))


def _sources_in(folder: Path) -> Iterator[str]:
    for file in files_of_failures(folder):
        above = file.parent.parent
        with suppress(ConfigurationError, KeyError, TypeError):
            yield str(read_json(above / "search.json")["sources"])
        with suppress(ConfigurationError, KeyError, TypeError):
            yield str(read_json(above / "report.json")["search"]["sources"])
