"""One fuzz of Deep Sci-Fi a run, and what is printed of it at the end."""

from dataclasses import replace
from typing import Final

import pytest
from pgdst import Databases

from fuzz.fuzzing import Fuzz, fuzz
from fuzz.serving import last_words, serving
from fuzz.settlement import settle

# For each operation, beside those at the edges. All in all it is to be a few thousand calls in about a minute.
EXAMPLES: Final = 28

DONE: Final = pytest.StashKey[Fuzz]()


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of the run."""
    seed: int = request.config.option.pgdst_seed
    return seed


@pytest.fixture(scope="session")
def fuzzed(
    clean_databases: Databases, seed: int, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Fuzz:
    """What came of a fuzz of Deep Sci-Fi on a clean database."""
    directory = tmp_path_factory.mktemp("fuzz")
    log = directory / "service.log"
    with clean_databases.lend() as database:
        variables = {"DATABASE_URL": database, "PGDST_SEED": str(seed)}
        with serving("fuzz.served:deep_sci_fi", log, variables) as url:
            settlement = settle(url)
            done = fuzz(
                url, directory, seed=seed, examples=EXAMPLES, api_key=settlement.api_key, known=settlement.known
            )
    done = replace(done, output=f"{done.output}\nThe service said:\n{last_words(log)}")
    request.config.stash[DONE] = done
    return done


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many calls there were and how they were answered."""
    if DONE in config.stash:
        done = config.stash[DONE]
        terminalreporter.section("fuzz")
        terminalreporter.write_line(f"seed: {config.option.pgdst_seed}")
        classes = ", ".join(f"{count} {status_class}" for status_class, count in done.status_classes().items())
        terminalreporter.write_line(f"{len(done.calls)} calls: {classes}")
