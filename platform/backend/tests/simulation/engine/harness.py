"""What each domain stands on: the platform of one example, requests, expectations, reading the database."""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from typing import Any, ClassVar, Final, LiteralString, Protocol

import psycopg
from deepsci.database import make_engine
from deepsci.main import assemble, connect
from fastapi import FastAPI
from hypothesis import event
from hypothesis.stateful import RuleBasedStateMachine
from pgdst import Coverage, Examples, Fault, SeededIds, ServerProcesses, SimulatedClock, Trace, acting_as
from pgdst.simulation.clients.ids import NOBODY
from pgdst.simulation.faults.kinds import DEFAULT_MIX, MIXES
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import URL, Engine

from simulation.engine.checks import INVARIANT, LIVENESS, checks_of
from simulation.engine.in_process import InProcessClient, without_worker_threads
from simulation.engine.keys import KeyedRequest
from simulation.engine.model import Model, Refusal
from simulation.engine.watched_clock import WatchedClock

# What FAULTS= stands for here. The platform's tables say that nothing ends, nor is used, before it began (such as
# ck_claims_action_after_claim), so that with its clock set back it refuses what it should do: that is not asked of it.
FAULTS: Final = {mix: tuple(kind for kind in kinds if kind is not Fault.CLOCK_BACK) for mix, kinds in MIXES.items()}


class CleanDatabases(Protocol):
    """Where an example gets its database from: the fixture `clean_databases`."""

    def lend(self) -> AbstractContextManager[str]:
        """Lend the URL of a migrated, empty database, which is taken back at exit."""


@dataclass(frozen=True)
class Run:
    """What the examples of one run share. The coverage counts what they reached, `faults` are the possible kinds."""

    databases: CleanDatabases
    backends: ServerProcesses
    seed: int
    trace: Trace
    coverage: Coverage = field(default_factory=Coverage)
    faults: tuple[Fault, ...] = FAULTS[DEFAULT_MIX]
    tell: Callable[[str], object] = lambda _wrong: None

    @cached_property
    def examples(self) -> Examples:
        """The run's examples so far."""
        return Examples(self.trace, self.tell)


@dataclass(frozen=True)
class Request:
    """A request: its client, its keys, and its body as it is laid out."""

    client: str
    method: str
    path: str
    api_key: str | None
    idempotency_key: str | None
    content: str | None


@dataclass(frozen=True)
class Exchange:
    """A request as it was sent, and what came back."""

    request: Request
    status: int
    text: str

    def __str__(self) -> str:
        """Return it as it stands in the trace."""
        sent = self.request
        asked = f"{sent.client} {sent.method} {sent.path} {sent.api_key} {sent.idempotency_key} {sent.content}"
        return f"{asked} -> {self.status} {self.text}"


@dataclass(frozen=True)
class Answer:
    """An answer of the platform."""

    status: int
    body: Any
    text: str = ""

    @property
    def code(self) -> str | None:
        """The stable code of a refusal, None for a success."""
        return self.body["error"]["code"] if self.status >= 400 else None


class RefusedError(Exception):
    """A request was refused as predicted, with which the action that sent it is over."""


class Harness(RuleBasedStateMachine):
    """The platform on a database of its own.

    Each example starts from the same clock and the same ids, so that a step means the same in every example.
    """

    # What a class says here is added to what its bases say (`collected`).
    # States that a run must come to at least once, as `self.sometimes` counts them.
    SOMETIMES: ClassVar[frozenset[str]] = frozenset()
    # More of them, with a kind of fault each, without which they cannot be.
    SOMETIMES_STRUCK: ClassVar[frozenset[tuple[str, Fault]]] = frozenset()

    # What it is compared with, of all domains (`machine.py`); a domain's classes know it as their own domain's.
    MODEL: ClassVar[type[Model]] = Model
    model: Model

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.checking = "set-up"
        self.tables_were_checked = False
        self.refusal: Refusal | None = None  # with which the next request must be answered
        self.agents_send_keys = False
        self.keys_sent = 0
        self.clock = SimulatedClock()
        self.watched_clock = WatchedClock(self.clock)
        self.model = self.MODEL(self.clock)
        self.rows_read: dict[LiteralString, list[tuple[Any, ...]]] = {}  # by the invariants' queries
        self.rows_read_at: str | None = None  # the snapshot in which they were
        self.row_versions: dict[str, str] = {}  # then, by table
        self.reads_ahead = False
        self.ended_at: tuple[str | None, datetime] | None = None  # the snapshot and the clock after the step before
        with ExitStack() as opened:
            self.engine = engine_on(opened.enter_context(run.databases.lend()))
            opened.callback(self.engine.dispose)
            self.client = InProcessClient(create_app(self.engine, self.watched_clock, SeededIds(run.seed)))
            opened.callback(self.client.close)
            opened.enter_context(without_worker_threads())
            self.observer = connect_past_the_platform(self.engine.url)
            opened.callback(lambda: self.observer.close())
            self.resources = opened.pop_all()
        run.examples.begin()

    def teardown(self) -> None:
        """Ask for what must come about in the end, record what the tables hold then, and give everything back."""
        with self.resources:
            try:
                if sys.exception() is None:  # else a step has failed, and nothing may be said over it
                    self._check_the_end()
            finally:
                self._trace_tables()
                if (error := sys.exception()) is not None:
                    self.run.examples.fail(error)

    def check_invariants(self, settings: Any, output: Any, runtimes: Any) -> None:  # noqa: ARG002  printing is left out
        """Check all invariants, without a line for each after every step: a failure says which of them it is."""
        __tracebackhide__ = True
        before = self.ended_at
        if self.tables_were_checked:  # by the step itself
            self.tables_were_checked = False
        else:
            with self._reading_ahead():
                super().check_invariants(settings, lambda _line: None, runtimes)
        self.ended_at = (self.rows_read_at, self.clock.now())
        if before == self.ended_at:
            self.run.examples.end_idle_step()

    def check_tables(self) -> None:
        """Ask all invariants, one after another. Raises: what the first that does not hold raises."""
        __tracebackhide__ = True
        with self._reading_ahead():
            for _id, invariant in sorted(checks_of(type(self), INVARIANT).items()):
                getattr(self, invariant.method)()

    def sometimes(self, name: str, condition: bool) -> None:
        """Count in the run's coverage that a state was reached; its name stands in SOMETIMES."""
        self.run.coverage.sometimes(name, condition)
        if condition:
            event(name)

    def observe_anew(self) -> None:
        """Connect the observer again after a crash of the server."""
        self.observer.close()
        self.observer = connect_past_the_platform(self.engine.url)

    # Requests.

    def read(self, path: str) -> Answer:
        """Read something without a key."""
        return self.send("GET", path)

    def send(
        self,
        method: str,
        path: str,
        *,
        client: str = NOBODY,
        key: str | None = None,
        body: object = None,
        written: Callable[[object], str] = json.dumps,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Send a request and remember its keys. A body of None is no body; `written` lays it out as JSON."""
        content = written(body) if body is not None else None
        exchange = self.exchange(Request(client, method, path, key, idempotency_key, content))
        answer = Answer(exchange.status, json.loads(exchange.text), exchange.text)
        used = exchange.request.idempotency_key
        if used is not None:
            sent = KeyedRequest(client, key, method, path, body, used, answer.status, answer.text)
            self.model.answered(sent, answer.code)
        return answer

    def exchange(self, request: Request) -> Exchange:
        """Send a request, and record it with its answer."""
        exchange = self.transmit(self.as_agents_send_it(request))
        self.run.trace.append(str(exchange))
        return exchange

    def as_agents_send_it(self, request: Request) -> Request:
        """Return a request with a new idempotency key, if it is a POST that was given none, and agents send them."""
        if request.idempotency_key is not None or request.method != "POST" or not self.agents_send_keys:
            return request
        self.keys_sent += 1
        return replace(request, idempotency_key=f"idempotency-key-{self.keys_sent}")

    def transmit(self, request: Request) -> Exchange:
        """Send a request to the platform, and nothing else: many may do this at once."""
        named = {
            "Content-Type": "application/json",
            "X-API-Key": request.api_key,
            "Idempotency-Key": request.idempotency_key,
        }
        headers = {name.encode(): value.encode() for name, value in named.items() if value is not None}
        with acting_as(request.client):
            response = self.client.request(request.method, request.path, headers, request.content)
        return Exchange(request, response.status, response.text)

    # Expectations.

    def expect(self, answer: Answer, status: int, code: str | None = None) -> None:
        """Assert the exact status and error code. Raises: RefusedError, where a refusal was to come, and came."""
        __tracebackhide__ = True
        if self.refusal is not None:
            status, code = self.refusal
        self.expect_equal("status and code", (status, code), (answer.status, answer.code), f"in {answer.body}")
        if self.refusal is not None:
            raise RefusedError

    def expect_body(self, answer: Answer, body: object) -> None:
        """Assert the exact body."""
        __tracebackhide__ = True
        self.expect_equal("body", body, answer.body)

    def expect_read(self, path: str, body: object) -> None:
        """Assert that anybody who reads a path gets exactly this body."""
        __tracebackhide__ = True
        answer = self.read(path)
        self.expect(answer, 200)
        self.expect_body(answer, body)

    def expect_equal(self, what: str, expected: object, found: object, where: str = "") -> None:
        """Assert that the platform did as the model predicted; the failure begins with the check's name."""
        __tracebackhide__ = True
        assert expected == found, f"{self.checking}: expected {what} {expected}, found {found} {where}"

    def expect_rows(self, expected: Mapping[Any, Any], query: LiteralString, *, columns: int = 1) -> None:
        """Assert that a query finds what the model predicts, by its first column or columns; see `rows_by_id`."""
        __tracebackhide__ = True
        self.expect_by_id(expected, self.rows_by_id(query, columns=columns))

    def expect_by_id(self, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Assert that what was found in the database is what the model predicts; both by id."""
        __tracebackhide__ = True
        if expected == found:
            return
        keys = [*expected, *(key for key in found if key not in expected)]
        absent = "nothing"
        wrong = [
            f"{self.model.called(key)}: expected {expected.get(key, absent)!r}, found {found.get(key, absent)!r}"
            for key in keys
            if expected.get(key, absent) != found.get(key, absent)
        ]
        raise AssertionError(f"{self.checking}: " + "; ".join(wrong))

    # The database, past the platform.

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Return what the database answers to a query with a total order."""
        if not self.reads_ahead:
            return self.observer.execute(query).fetchall()
        if query not in self.rows_read:  # an invariant asks it for the first time in this example
            self.rows_read[query] = self.observer.execute(query).fetchall()
        return self.rows_read[query]

    def rows_by_id(self, query: LiteralString, *, columns: int = 1) -> dict[Any, Any]:
        """Return the rows of a query by their first column, or columns. A value of one column stands alone."""
        found = {}
        for row in self.rows(query):
            key, values = row[:columns], row[columns:]
            found[key[0] if columns == 1 else key] = values[0] if len(values) == 1 else values
        return found

    @contextmanager
    def _reading_ahead(self) -> Iterator[None]:
        """Ask in one go what the invariants asked after the step before: waiting for each took most of their time.

        Half of the steps write nothing, and after them nothing is asked: every transaction that wrote changes what
        Postgres's snapshots say, as soon as others see what it wrote. Nor is what reads only tables that are the same.
        """
        [(snapshot,)] = self.observer.execute("SELECT pg_current_snapshot()::text").fetchall()
        if snapshot != self.rows_read_at:
            written = self._tables_written()
            asked = [query for query in self.rows_read if reads_any(query, written, among=self.row_versions)]
            with self.observer.pipeline():
                cursors = {query: self.observer.execute(query) for query in asked}
            self.rows_read |= {query: cursor.fetchall() for query, cursor in cursors.items()}
            self.rows_read_at = snapshot
        self.reads_ahead = True
        try:
            yield
        finally:
            self.reads_ahead = False

    def _tables_written(self) -> set[str]:
        """Return the tables that have other rows than when this was asked before: each write makes another version."""
        before = self.row_versions
        self.row_versions = dict(self.observer.execute(self._query_of_versions).fetchall())
        return {table for table, versions in self.row_versions.items() if versions != before.get(table)}

    @cached_property
    def _query_of_versions(self) -> Composed:
        """A version of a row is known by its place and by the transaction that wrote it."""
        one = SQL("SELECT {}, coalesce(string_agg(concat(ctid, xmin), ' '), '') FROM {}")
        return SQL(" UNION ALL ").join(one.format(table, Identifier(table)) for table in self._tables())

    def _tables(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        return [table for (table,) in self.observer.execute(query)]

    # The end of an example.

    def _check_the_end(self) -> None:
        for _id, demand in sorted(checks_of(type(self), LIVENESS).items()):
            getattr(self, demand.method)()
        self.rows_read_at, self.row_versions = None, {}  # everything is asked once more, whatever was written
        self.check_tables()

    def _trace_tables(self) -> None:
        # to_jsonb writes every type, times in the session's zone; locale C sorts the same everywhere.
        for table in self._tables():
            query = SQL("SELECT to_jsonb(t)::text FROM {} t ORDER BY 1").format(Identifier(table))
            for (row,) in self.observer.execute(query):
                self.run.trace.append(f"{table} {row}")


def reads_any(query: str, tables: Collection[str], *, among: Collection[str]) -> bool:
    """Return whether a query may read one of these tables, `among` all that there are, or reads none that is known."""
    named = words_of(query).intersection(among)
    return not named or not named.isdisjoint(tables)


@cache
def words_of(query: str) -> frozenset[str]:
    """Return the words of a query. The name of a table that it reads is one: there are no views, and no functions."""
    return frozenset(re.findall(r"\w+", query))


@cache
def assembled() -> FastAPI:
    """Return the application of all examples: to assemble its routes takes as long as ten requests."""
    return assemble()


@cache
def engine_on(url: str) -> Engine:
    """Return the engine of all examples on a database, without connections.

    It keeps what SQLAlchemy has compiled: a new one would compile the platform's statements anew in each example.
    """
    return make_engine(url)


def create_app(engine: Engine, clock: WatchedClock, ids: SeededIds) -> FastAPI:
    """Return the application on an example's database."""
    app = assembled()
    connect(app, engine, clock, ids)
    return app


def connect_past_the_platform(url: URL) -> psycopg.Connection:
    """Return a connection that sees each commit at once and has nothing of the platform's in it."""
    libpq_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
    # The same few queries after every step: the server plans each of them once.
    return psycopg.connect(libpq_url, autocommit=True, prepare_threshold=0, options="-c timezone=UTC")
