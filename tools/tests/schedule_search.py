"""A database of a test's own, and the search of its schedules for a run that went wrong."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, LiteralString

import psycopg
from pgdst.server.address import Server
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.strategy import Strategy
from sqlalchemy import Connection, CursorResult, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

# psycopg with a gate of its own; all other names are of drivers that come to the proxy.
GATE = "psycopg"
Clients = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True)
class Found:
    """What a search came to: how many schedules were run, and the first in which the bug was seen, if any was."""

    runs: int
    first: Result | None


@dataclass
class ScheduleSearch:
    """The database, an engine and a simulation of clients on it, and what is done to it before each run."""

    server: Server
    observer: psycopg.Connection
    engine: Engine
    simulation: Simulation
    prepare: LiteralString
    driver: str = GATE

    @property
    def is_async(self) -> bool:
        """Whether the engine is the synchronous side of one for coroutines: its clients are coroutines then."""
        return self.driver == "asyncpg"

    def new_engine(self, **options: Any) -> Engine:
        """Attach another engine on the same driver, and return it."""
        return _attach(self.simulation, self.server, self.driver, **options)

    def sleep(self, duration: timedelta) -> None:
        """Sleep by the simulated clock, as a client."""
        clock = self.simulation.clock
        await_only(clock.sleep_async(duration)) if self.is_async else clock.sleep(duration)

    def run(self, clients: Clients, strategy: Strategy, faults: Faults | None = None) -> Result:
        """Run the clients on the database as it was prepared."""
        self.observer.execute(self.prepare)
        return self.run_on(clients, strategy, faults)

    def run_on(self, clients: Clients, strategy: Strategy, faults: Faults | None = None) -> Result:
        """Run the clients on the database as the run before has left it."""
        for name, client in clients.items():
            self.simulation.spawn(name, partial(greenlet_spawn, client) if self.is_async else client)
        result = self.simulation.run(strategy, faults)
        if Fault.CRASH in result.schedule.faults.values():
            self.observer.close()
            self.observer = self.server.connect()
        return result

    def search(self, clients: Clients, strategies: Iterable[Strategy], is_wrong: Callable[[Result], bool]) -> Found:
        """Run one strategy after another until a run is wrong, or until there are no more."""
        runs = 0
        for strategy in strategies:
            runs += 1
            result = self.run(clients, strategy)
            if is_wrong(result):
                return Found(runs, result)
        return Found(runs, None)

    def search_all(self, clients: Clients, preemptions: int, is_wrong: Callable[[Result], bool]) -> Found:
        """Do so with all schedules of so many preemptions."""
        search = Exhaustive(preemptions)
        found = self.search(clients, search, is_wrong)
        assert search.is_exhausted == (found.first is None)
        return found

    def value(self, query: LiteralString) -> Any:
        """Return what a query for one value finds."""
        row = self.observer.execute(query).fetchone()
        return row and row[0]


@contextmanager
def schedule_search(
    processes: ServerProcesses, schema: LiteralString, prepare: LiteralString, driver: str = GATE, **options: Any
) -> Iterator[ScheduleSearch]:
    """Yield a search with this schema, and an engine on this driver; the options are the simulation's.

    Its database is gone afterwards.
    """
    name = f"lab_{secrets.token_hex(4)}"
    _maintain(processes, f"CREATE DATABASE {name}")
    try:
        server = processes.server.with_database(name)
        with closing(Simulation(processes, **options)) as simulation:
            with closing(server.connect()) as connection:
                connection.execute(schema)
            engine = _attach(simulation, server, driver)
            made = ScheduleSearch(server, server.connect(), engine, simulation, prepare, driver)
            try:
                yield made
            finally:
                made.observer.close()
    finally:
        _maintain(processes, f"DROP DATABASE {name} WITH (FORCE)")


def _attach(simulation: Simulation, server: Server, driver: str, **options: Any) -> Engine:
    url = server.url.replace("+psycopg", f"+{driver}", 1)
    engine = create_async_engine(url, **options) if driver == "asyncpg" else create_engine(url, **options)
    simulation.attach(engine)
    return engine if isinstance(engine, Engine) else engine.sync_engine


def _maintain(processes: ServerProcesses, statement: str) -> None:
    """Execute it in a new session: a crash ends those that there are."""
    with closing(processes.server.connect()) as maintenance:
        maintenance.execute(statement.encode())


def sql(connection: Connection, query: str, **parameters: Any) -> CursorResult[Any]:
    """Execute a statement."""
    return connection.execute(text(query), parameters)


def sqlstates(result: Result) -> set[str | None]:
    """Return the errors of the database that clients have ended with. Raises: one that is not the database's."""
    found: set[str | None] = set()
    for error in result.errors.values():
        if not isinstance(error, DBAPIError):
            raise error
        found.add(sqlstate(error))
    return found


def sqlstate(error: DBAPIError) -> str | None:
    """Return the SQLSTATE, as psycopg and asyncpg call it, or psycopg2."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
