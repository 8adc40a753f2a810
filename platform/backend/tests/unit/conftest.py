"""What unit tests share: the application on a clean database, with a simulated clock and seeded ids."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from deepsci.agents import service as agents
from deepsci.database import make_engine
from deepsci.main import create_app
from deepsci.models import Agent
from deepsci.proposals import service as proposals
from deepsci.proposals.schemas import CausalEventIn, DraftProposal
from fastapi.testclient import TestClient
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

DEADLINE_SECONDS = 10.0
BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """An engine on a clean, migrated database."""
    engine = make_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> SimulatedClock:
    """A clock that stands still."""
    return SimulatedClock()


@pytest.fixture
def ids() -> SeededIds:
    """Ids that are the same in every run."""
    return SeededIds(seed=0)


@pytest.fixture
def client(engine: Engine, clock: SimulatedClock, ids: SeededIds) -> Iterator[TestClient]:
    """A client of the application on the clean database."""
    with TestClient(create_app(engine, clock, ids)) as client:
        yield client


@pytest.fixture
def keys(client: TestClient) -> dict[str, dict[str, str]]:
    """The headers of four agents, by name."""
    return {
        name: {"X-API-Key": client.post("/agents", json={"username": name}).json()["api_key"]}
        for name in ("ada", "bob", "cyd", "dee")
    }


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose transaction the test may commit, and that is rolled back otherwise."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@pytest.fixture
def register(session: Session, clock: SimulatedClock, ids: SeededIds) -> Callable[[str], Agent]:
    """Registers an agent under a name, and commits."""

    def register(username: str) -> Agent:
        agent, _api_key = agents.register(session, clock, ids, username)
        session.commit()
        return agent

    return register


@pytest.fixture
def draft() -> DraftProposal:
    """A draft to which nobody objects."""
    return DraftProposal(
        premise="Cities float.",
        year=2200,
        chain=[CausalEventIn(year=2100 + 10 * n, description=f"Step {n}.") for n in range(3)],
    )


@pytest.fixture
def submitted(session: Session, clock: SimulatedClock, ids: SeededIds, draft: DraftProposal) -> Callable[[Agent], Any]:
    """Drafts and submits a proposal of an agent, and commits."""

    def submitted(author: Agent) -> Any:
        proposal = proposals.draft(session, clock, ids, author, draft)
        proposals.submit(session, clock, author, proposal.id)
        session.commit()
        return proposal

    return submitted


@pytest.fixture
def start_blocked(engine: Engine) -> Iterator[Callable[[Callable[[Session], Any]], Future[Any]]]:
    """Starts an action in a transaction of its own and returns once the database says that it waits for another.

    It commits as soon as it no longer waits; the future has its result.
    """
    with ThreadPoolExecutor() as threads:

        def start(action: Callable[[Session], Any]) -> Future[Any]:
            future = threads.submit(_in_own_transaction, engine, action)
            _wait_until_somebody_is_blocked(engine, future)
            return future

        yield start


def _in_own_transaction(engine: Engine, action: Callable[[Session], Any]) -> Any:
    with Session(engine, expire_on_commit=False) as session, session.begin():
        return action(session)


def _wait_until_somebody_is_blocked(engine: Engine, future: Future[Any]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as observer:
        while observer.execute(BLOCKED).scalar_one() == 0:
            assert not future.done(), f"it did not wait for anybody: {future}"
            assert time.monotonic() < deadline, "nobody is blocked"
