"""Schemathesis in a process of its own, and what it did.

A process, because in this one it would share Hypothesis with the simulation, and warnings with pytest, to which every
warning is an error.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fuzz.serving import environment

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
# So often something that is there is named; else what Schemathesis thinks of.
KNOWN_PROBABILITY: Final = 0.75
DEADLINE_SECONDS: Final = 600


@dataclass(frozen=True)
class Call:
    """One request, the operation that it was made for, the status of its answer, and the checks that this failed."""

    operation: str
    request: str
    status: int
    failed: frozenset[str]


@dataclass(frozen=True)
class Fuzz:
    """What was called, and what Schemathesis says of it; status 0 means that every check passed."""

    status: int
    output: str
    calls: Sequence[Call]

    def statuses_of(self, operation: str) -> Counter[int]:
        """Return how often an operation answered with each status."""
        return Counter(call.status for call in self.calls if call.operation == operation)

    def failures(self) -> dict[str, set[str]]:
        """Return the checks that each operation failed, those that failed none left out."""
        failures: dict[str, set[str]] = {}
        for call in self.calls:
            if call.failed:
                failures.setdefault(call.operation, set()).update(call.failed)
        return failures

    def status_classes(self) -> dict[str, int]:
        """Return how many answers there were of each class of statuses."""
        classes = Counter(f"{call.status // 100}xx" for call in self.calls)
        return dict(sorted(classes.items()))


def fuzz(
    url: str, directory: Path, *, seed: int, examples: int, api_key: str = "", known: Mapping[str, Sequence[str | int]]
) -> Fuzz:
    """Call every operation in the service's document with `examples` random requests and with those at the edges.

    The same seed makes the same calls, as long as the service gives the same answers: some calls are made from those.
    """
    configuration, report = directory / "schemathesis.toml", directory / "report.ndjson"
    configuration.write_text("\n".join(configuration_lines(seed, examples, api_key, known)))
    schemathesis = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "--no-color"]
    finished = subprocess.run(
        [*schemathesis, "run", f"{url}/openapi.json", "--report-ndjson-path", str(report)],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    calls = list(recorded_calls(report)) if report.exists() else []
    return Fuzz(finished.returncode, finished.stdout + finished.stderr, calls)


def configuration_lines(
    seed: int, examples: int, api_key: str, known: Mapping[str, Sequence[str | int]]
) -> Iterator[str]:
    """Yield the configuration of a run, in TOML.

    Source: https://schemathesis.readthedocs.io/en/stable/reference/configuration/
    """
    yield f"seed = {seed}"
    yield "workers = 1"
    yield 'hooks = "fuzz.hooks"'
    yield "continue-on-failure = true"
    yield 'suppress-health-check = ["all"]'  # how fast the machine is today must not decide
    yield "output.sanitization.enabled = false"
    if api_key:
        yield f'headers = {{ "X-API-Key" = "{api_key}" }}'
    yield f"generation.max-examples = {examples}"
    yield "generation.deterministic = false"  # Hypothesis' own "ci" profile, which CI=true selects, ignores the seed
    yield 'generation.database = "none"'
    yield "generation.no-shrink = true"  # a failing call is told as it is
    yield 'phases.coverage.unexpected-methods = ["delete"]'  # answered by the framework: one stands for all
    yield "checks.enabled = false"
    yield from (f"checks.{check}.enabled = true" for check in CHECKS)
    for number, values in enumerate(known.values()):
        yield f"dictionaries.known{number}.values = {json.dumps(list(values))}"
    for number, name in enumerate(known):
        binding = f'{{ dictionary = "known{number}", probability = {KNOWN_PROBABILITY} }}'
        yield f'parameters."{name}" = {binding}'


def recorded_calls(report: Path) -> Iterator[Call]:
    """Yield the calls of a run in the order in which they were made."""
    with report.open() as lines:
        events = (json.loads(line) for line in lines)
        recorders = (event["ScenarioFinished"]["recorder"] for event in events if "ScenarioFinished" in event)
        for recorder in recorders:
            for case_id, interaction in recorder.get("interactions", {}).items():
                checks = recorder.get("checks", {}).get(case_id, [])
                yield _call(recorder["cases"][case_id]["value"], interaction, checks)


def _call(case: dict[str, Any], interaction: dict[str, Any], checks: list[dict[str, Any]]) -> Call:
    request, response = interaction["request"], interaction["response"] or {}
    _scheme, _, target = request["uri"].partition("://")
    # Where the service was and how a case is called differ from run to run; all else is the request.
    headers = {name: value for name, value in request["headers"].items() if name != "X-Schemathesis-TestCaseId"}
    content = json.dumps([headers, request.get("body")], sort_keys=True)
    return Call(
        f"{case['method']} {case['path']}",
        f"{request['method']} /{target.partition('/')[2]} {content}",
        response.get("status_code", 0),
        frozenset(check["name"] for check in checks if check["status"] == "failure"),
    )
