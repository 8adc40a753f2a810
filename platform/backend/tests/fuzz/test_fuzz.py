"""The running service withstands a few thousand requests that are made from its own OpenAPI document."""

from pathlib import Path
from typing import Final

import pytest
from deepsci.clock import SystemClock
from deepsci.database import make_engine
from deepsci.ids import SystemIds
from deepsci.main import create_app

from fuzz.fuzzing import Fuzz, fuzz
from fuzz.serving import ServiceError, serving

MIN_CALLS: Final = 2_000
# Of the operations that change something; what chance leaves undone differs from seed to seed.
MIN_SHARE_DONE: Final = 0.75

FEW_EXAMPLES: Final = 3


@pytest.fixture(scope="module")
def operations() -> set[str]:
    """The operations that the document has."""
    app = create_app(make_engine("postgresql://nobody@127.0.0.1:1/nowhere"), SystemClock(), SystemIds())
    return {f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item}


def test_no_answer_breaks_the_documents_word(fuzzed: Fuzz) -> None:
    """No failure of the service, and no status, content type or body that is not documented."""
    assert fuzzed.status == 0, fuzzed.output


def test_every_operation_was_called(fuzzed: Fuzz, operations: set[str]) -> None:
    """A few thousand calls in all: a fuzz that calls nothing would find nothing."""
    assert operations <= {call.operation for call in fuzzed.calls}
    assert len(fuzzed.calls) >= MIN_CALLS


def test_what_is_asked_for_is_often_done(fuzzed: Fuzz, operations: set[str]) -> None:
    """Each list and each thing was read, and most of what can be done was done, not only refused."""
    undone = {
        operation
        for operation in operations
        if not any(200 <= status < 300 for status in fuzzed.statuses_of(operation))
    }
    assert not {operation for operation in undone if operation.startswith("GET ")}
    changing = {operation for operation in operations if operation.startswith("POST ")}
    assert len(changing - undone) >= MIN_SHARE_DONE * len(changing), f"never done: {sorted(undone)}"


def fuzz_of_the_broken_service(directory: Path, seed: int) -> Fuzz:
    """Return what comes of a small fuzz of a service that breaks its word."""
    with serving("fuzz.broken:broken", directory / "service.log", {}) as url:
        return fuzz(url, directory, seed=seed, examples=FEW_EXAMPLES, known={})


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Fuzz:
    """What came of that with one seed."""
    return fuzz_of_the_broken_service(tmp_path_factory.mktemp("broken"), seed=7)


def test_each_way_of_breaking_ones_word_is_found(broken: Fuzz) -> None:
    """Where it is broken, and nowhere else; a check that nobody saw fail is not a check."""
    assert broken.status == 1, broken.output
    assert {
        "GET /fails": {"not_a_server_error", "status_code_conformance"},
        "GET /answers_with_an_undocumented_status": {"status_code_conformance"},
        "GET /answers_in_an_undocumented_type": {"content_type_conformance"},
        "GET /answers_in_an_undocumented_shape": {"response_schema_conformance"},
    } == broken.failures()


def test_the_same_seed_makes_the_same_calls_and_another_seed_others(
    broken: Fuzz, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Request by request, in the same order."""
    again, another = (fuzz_of_the_broken_service(tmp_path_factory.mktemp("again"), seed) for seed in (7, 8))
    assert broken.calls == again.calls
    assert broken.calls != another.calls


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    """What it said stands in the failure."""
    with pytest.raises(ServiceError, match="Could not import"), serving("nowhere:app", tmp_path / "log", {}):
        pass
