"""What every rule and invariant of the simulation stands on."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, LiteralString, Protocol

import psycopg
from deepsci.database import make_engine
from deepsci.main import create_app
from fastapi.testclient import TestClient
from hypothesis.stateful import RuleBasedStateMachine
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.randomness import NOBODY, SeededIds, acting_as
from pgdst.simulation.trace import Trace
from psycopg.sql import SQL, Identifier
from sqlalchemy import URL

from simulation.state_mirror import Draft, MirroredAgent, MirroredProposal, MirroredVote, StateMirror


class CleanDatabases(Protocol):
    """Where an example gets its database from: the fixture `clean_databases`."""

    def clone(self) -> AbstractContextManager[str]:
        """Lend the URL of a new, migrated, empty database, which is dropped at exit."""


@dataclass(frozen=True)
class Run:
    """What the examples of one run share. The ledger counts how often each move succeeded."""

    databases: CleanDatabases
    seed: int
    trace: Trace
    ledger: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Answer:
    """What the platform answered."""

    status: int
    body: Any

    @property
    def code(self) -> str | None:
        """The stable code of a refusal, None for a success."""
        return self.body["error"]["code"] if self.status >= 400 else None


class DeepSciFiBaseRules(RuleBasedStateMachine):
    """The platform on a database of its own, and the actions that rules wrap.

    Each example starts from the same clock and the same ids, so that a step means the same in every example.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.checking = "set-up"
        self.clock = SimulatedClock()
        self.mirror = StateMirror()
        with ExitStack() as opened:
            engine = make_engine(opened.enter_context(run.databases.clone()))
            opened.callback(engine.dispose)
            app = create_app(engine, self.clock, SeededIds(run.seed))
            self.client = opened.enter_context(TestClient(app))
            self.observer = opened.enter_context(connect_past_the_platform(engine.url))
            self.resources = opened.pop_all()
        run.trace.append("a new example")

    def teardown(self) -> None:
        """Record what the tables hold in the end, and give everything back."""
        with self.resources:
            self._trace_tables()

    def check_invariants(self, settings: Any, output: Any, runtimes: Any) -> None:  # noqa: ARG002  printing is left out
        """Check all invariants, without a line for each after every step: a failure says which of them it is."""
        super().check_invariants(settings, lambda _line: None, runtimes)

    # Actions: one request each.

    def register(self, username: object) -> Answer:
        """Ask to be registered."""
        return self.send("POST", "/agents", client=str(username), body={"username": username})

    def draft(self, agent: str, draft: Draft) -> Answer:
        """Ask for a new draft."""
        return self.send_as(agent, "POST", "/proposals", draft.body())

    def submit(self, agent: str, proposal_id: str) -> Answer:
        """Ask that a draft be opened to validation."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/submit")

    def vote(self, agent: str, proposal_id: str, body: object) -> Answer:
        """Ask that a vote be counted."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/validations", body)

    def read(self, path: str) -> Answer:
        """Read something without a key."""
        return self.send("GET", path)

    def send_as(self, agent: str, method: str, path: str, body: object = None) -> Answer:
        """Send a request with an agent's key."""
        return self.send(method, path, client=agent, key=self.mirror.agents[agent].api_key, body=body)

    def send(
        self, method: str, path: str, *, client: str = NOBODY, key: str | None = None, body: object = None
    ) -> Answer:
        """Send a request and record it with its answer. A body of None is no body."""
        headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key is not None else {})
        content = json.dumps(body) if body is not None else None
        with acting_as(client):
            response = self.client.request(method, path, headers=headers, content=content)
        self.run.trace.append(f"{client} {method} {path} {key} {content} -> {response.status_code} {response.text}")
        return Answer(response.status_code, response.json())

    # Outcomes that more than one rule needs.

    def an_agent_registers(self, username: str) -> None:
        """Register an agent, check the answer, remember the agent."""
        answer = self.register(username)
        self.expect(answer, 201)
        self.mirror.registered(
            MirroredAgent(answer.body["id"], username, answer.body["api_key"], created_at=self.clock.now())
        )
        self.expect_body(answer, self.mirror.agent_body(username) | {"api_key": answer.body["api_key"]})

    def an_agent_drafts(self, agent: str, draft: Draft) -> str:
        """Draft a proposal, check the answer, remember the proposal, return its name."""
        answer = self.draft(agent, draft)
        self.expect(answer, 201)
        name = self.mirror.drafted(MirroredProposal(answer.body["id"], agent, draft, created_at=self.clock.now()))
        self.expect_body(answer, self.mirror.proposal_body(name))
        return name

    def an_agent_submits(self, agent: str, name: str) -> None:
        """Submit a draft, check the answer, remember that it is open to validation."""
        answer = self.submit(agent, self.mirror.proposals[name].id)
        self.expect(answer, 200)
        self.mirror.submitted(name, at=self.clock.now())
        self.expect_body(answer, self.mirror.proposal_body(name))

    def an_agent_votes(self, agent: str, name: str, verdict: str, critique: str) -> None:
        """Vote on a proposal, check what it decided, remember the vote and the world it may have founded."""
        proposal = self.mirror.proposals[name]
        predicted_status = proposal.status_after(verdict)
        answer = self.vote(agent, proposal.id, {"verdict": verdict, "critique": critique})
        self.expect(answer, 201)
        vote = MirroredVote(answer.body["validation"]["id"], agent, verdict, critique, self.clock.now())
        world_id = answer.body["world_id"]
        self.mirror.voted(name, vote, world_id)
        self.expect_body(
            answer,
            {
                "validation": self.mirror.vote_body(vote),
                "proposal_status": predicted_status,
                "world_id": world_id if predicted_status == "approved" else None,
            },
        )
        self.expect_equal("a world id", predicted_status == "approved", world_id is not None)

    # Expectations.

    def expect(self, answer: Answer, status: int, code: str | None = None) -> None:
        """Assert the exact status and error code."""
        self.expect_equal("status and code", (status, code), (answer.status, answer.code), f"in {answer.body}")

    def expect_body(self, answer: Answer, body: object) -> None:
        """Assert the exact body."""
        self.expect_equal("body", body, answer.body)

    def expect_equal(self, what: str, expected: object, found: object, where: str = "") -> None:
        """Assert that the platform did as the mirror predicted; the failure begins with the check's name."""
        assert expected == found, f"{self.checking}: expected {what} {expected}, found {found} {where}"

    def expect_rows(self, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Assert that what the database holds is what the mirror predicts; both by id."""
        keys = [*expected, *(key for key in found if key not in expected)]
        absent = "nothing"
        wrong = [
            f"{self.mirror.called(key)}: expected {expected.get(key, absent)!r}, found {found.get(key, absent)!r}"
            for key in keys
            if expected.get(key, absent) != found.get(key, absent)
        ]
        assert not wrong, f"{self.checking}: " + "; ".join(wrong)

    # The database, past the platform.

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Return what the database answers to a query with a total order."""
        return self.observer.execute(query).fetchall()

    def rows_by_id(self, query: LiteralString) -> dict[Any, Any]:
        """Return the rows of a query by their first column; of two columns, the second alone is the value."""
        return {key: values[0] if len(values) == 1 else tuple(values) for key, *values in self.rows(query)}

    def _trace_tables(self) -> None:
        # to_jsonb writes every type, times in the session's zone; locale C sorts the same everywhere.
        for (table,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"):
            query = SQL("SELECT to_jsonb(t)::text FROM {} t ORDER BY 1").format(Identifier(table))
            for (row,) in self.observer.execute(query):
                self.run.trace.append(f"{table} {row}")


def connect_past_the_platform(url: URL) -> psycopg.Connection:
    """Return a connection that sees each commit at once and has nothing of the platform's in it."""
    libpq_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(libpq_url, autocommit=True, options="-c timezone=UTC")
