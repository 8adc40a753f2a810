"""What the service makes of a bad day of its database: a fault of each kind, at each step of a request.

But for those that strike the whole server, which other tests use at the same time: the simulation has them, FAULTS=all.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from deepsci.main import create_app
from deepsci.models import Agent, IdempotentRequest, Proposal
from deepsci.proposals.schemas import DraftProposal
from deepsci.transactions import PAUSES
from fastapi.testclient import TestClient
from pgdst import Fault, Result, SeededIds, Simulation, Uniform
from pgdst.simulation.clients.clock import START
from sqlalchemy import Engine, func, select

UNDONE = (Fault.SERIALIZATION, Fault.DEADLOCK)
HARMLESS = (Fault.FROZEN, Fault.CLOCK)
AWAY = (Fault.LOST, Fault.COMMIT_UNDONE, Fault.COMMIT_DONE, Fault.TERMINATED, Fault.CANCELLED)
MOST_TRIES = 3


@dataclass
class FaultsFrom:
    """Strikes from a step on, so many times, wherever the kind can."""

    kind: Fault
    step: int
    times: int = 1
    struck: list[int] = field(default_factory=list)

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Strike, if it is time and the kind can."""
        if step < self.step or len(self.struck) == self.times or self.kind not in possible:
            return None
        self.struck.append(step)
        return self.kind


class Storm:
    """A client that drafts a proposal for a new agent each time, and tries again where it is told to."""

    def __init__(self, client: TestClient, simulation: Simulation, draft: DraftProposal) -> None:
        self.client = client
        self.simulation = simulation
        self.body = json.loads(draft.model_dump_json())
        self.drafts = 0
        self.answers: list[tuple[int, str | None]] = []

    def draft(self, faults: FaultsFrom, *, with_key: bool = True) -> Result:
        """Draft under faults; the statuses and Retry-After of the answers are in `answers`."""
        self.drafts += 1
        self.answers = []
        headers = {"X-API-Key": self.client.post("/agents", json={"username": f"agent{self.drafts}"}).json()["api_key"]}
        if with_key:
            headers["Idempotency-Key"] = f"a-key-of-this-draft-{self.drafts}"
        self.simulation.spawn("ada", self._send, headers)
        result = self.simulation.run(Uniform(0), faults)
        assert {} == result.errors
        return result

    def _send(self, headers: dict[str, str]) -> None:
        for _ in range(MOST_TRIES):
            answer = self.client.post("/proposals", json=self.body, headers=headers)
            self.answers.append((answer.status_code, answer.headers.get("Retry-After")))
            if answer.status_code != 503:
                break


@pytest.fixture
def storm(engine: Engine, simulation: Simulation, ids: SeededIds, draft: DraftProposal) -> Iterator[Storm]:
    """A client in a simulation, whose clock is the application's."""
    simulation.attach(engine)
    with TestClient(create_app(engine, simulation.clock, ids)) as client:
        yield Storm(client, simulation, draft)


@pytest.fixture
def count(engine: Engine) -> Callable[[type[Any]], int]:
    """Counts the rows of a model that were committed."""

    def count(model: type[Any]) -> int:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(model)).scalar_one()

    return count


def at_each_step(storm: Storm, kind: Fault) -> Iterator[Result]:
    """Draft once for each step at which the kind can strike."""
    for step in range(1, 100):
        faults = FaultsFrom(kind, step)
        result = storm.draft(faults)
        if not faults.struck:
            assert step > 1, "it never struck"
            return
        yield result
    raise AssertionError("a request has no end")


@pytest.mark.parametrize("kind", UNDONE)
def test_what_the_server_has_undone_is_done_again(storm: Storm, count: Callable[[type[Any]], int], kind: Fault) -> None:
    """Wherever in the request it was undone, COMMIT included, and the client does not notice."""
    for result in at_each_step(storm, kind):
        assert [(201, None)] == storm.answers, result.schedule
    assert count(Proposal) == count(IdempotentRequest) == count(Agent) == storm.drafts


@pytest.mark.parametrize("kind", AWAY)
def test_a_database_that_goes_away_costs_one_answer(
    storm: Storm, count: Callable[[type[Any]], int], kind: Fault
) -> None:
    """503 for the request that it hit, wherever it did; the same one again is answered, and had its effect once."""
    for result in at_each_step(storm, kind):
        assert [(503, "1"), (201, None)] == storm.answers, result.schedule
    assert count(Proposal) == count(IdempotentRequest) == count(Agent) == storm.drafts


@pytest.mark.parametrize("kind", HARMLESS)
def test_time_that_passes_is_no_failure(storm: Storm, kind: Fault) -> None:
    """Whether the server stood still or the request did."""
    for result in at_each_step(storm, kind):
        assert [(201, None)] == storm.answers, result.schedule


def test_a_request_is_tried_again_from_its_start_and_not_for_ever(storm: Storm, simulation: Simulation) -> None:
    """Each attempt asks again who is there, and waits a little longer than the one before."""
    attempts = len(PAUSES) + 1
    result = storm.draft(FaultsFrom(Fault.DEADLOCK, 3, times=attempts))
    first_attempts = [step.in_words for step in result.steps if "FROM agents WHERE agents.api_key" in step.what]
    # The first fault comes at the second statement, the others at the first one of their attempts.
    assert [(503, "1"), (201, None)] == storm.answers
    assert attempts + 1 == len(first_attempts)
    assert sum(PAUSES, start=START) == simulation.clock.now()


def test_a_commit_without_an_answer_is_not_done_again_by_the_service(
    storm: Storm, count: Callable[[type[Any]], int]
) -> None:
    """It may have been done. Only the client knows whether it sent a key, under which it may ask again."""
    storm.draft(FaultsFrom(Fault.COMMIT_DONE, 1), with_key=False)
    assert [(503, "1"), (201, None)] == storm.answers
    assert 2 == count(Proposal), "the client that has no key has done it twice, and the service not more often"
