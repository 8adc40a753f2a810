"""A small database of accounts, and clients who clash on it."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from pgdst.server.address import Server
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.strategy import Strategy
from sqlalchemy import Engine, create_engine, text

SCHEMA = """
DROP TABLE IF EXISTS accounts, names;
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 5) n;
CREATE TABLE names (name text);
"""
CLIENTS = ("ada", "bob", "cyd", "dan", "eve")


@dataclass
class Races:
    """The database, all accounts empty, and simulations of clients on it."""

    server: Server
    processes: ServerProcesses
    observer: psycopg.Connection
    opened: ExitStack = field(default_factory=ExitStack)

    def engine(self, **options: Any) -> Engine:
        """Return an engine on the database."""
        engine = create_engine(self.server.url, **options)
        self.opened.callback(engine.dispose)
        return engine

    def simulation(self, *engines: Any, **options: Any) -> Simulation:
        """Return a simulation to which the engines are attached."""
        simulation = Simulation(self.processes, **options)
        self.opened.callback(simulation.close)
        for engine in engines:
            simulation.attach(engine)
        return simulation

    def run(
        self,
        simulation: Simulation,
        clients: Iterable[Callable[[], Any]],
        strategy: Strategy,
        faults: Faults | None = None,
    ) -> Result:
        """Empty the accounts, forget the names, and run the clients."""
        self.observer.execute("UPDATE accounts SET balance = 0; TRUNCATE names")
        for name, client in zip(CLIENTS, clients, strict=False):
            simulation.spawn(name, client)
        return simulation.run(strategy, faults)

    def observe_anew(self) -> None:
        """Have a new connection: a crash has ended the old one."""
        self.observer.close()
        self.observer = self.server.connect()

    def value(self, query: LiteralString) -> Any:
        """Return what a query for one value finds."""
        row = self.observer.execute(query).fetchone()
        return row and row[0]

    def balances(self) -> list[int]:
        """Return the balances of all accounts."""
        found: list[int] = self.value("SELECT array_agg(balance ORDER BY id) FROM accounts")
        return found


def deposit(engine: Engine, *accounts: int, locking: bool = True) -> Callable[[], None]:
    """Return a client that adds one to each of the accounts, in one transaction."""
    read = text("SELECT balance FROM accounts WHERE id = :id" + (" FOR UPDATE" if locking else ""))
    write = text("UPDATE accounts SET balance = :balance WHERE id = :id")

    def client() -> None:
        with engine.begin() as connection:
            for account in accounts:
                found = connection.execute(read, {"id": account}).scalar_one()
                connection.execute(write, {"id": account, "balance": found + 1})

    return client


def nested(engine: Engine) -> Callable[[], None]:
    """Return a client that wants a second connection while it has one."""

    def client() -> None:
        with engine.connect() as outer:
            outer.execute(text("SELECT 1"))
            with engine.connect() as inner:
                inner.execute(text("SELECT 2"))

    return client
