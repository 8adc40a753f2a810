#!/usr/bin/env python3
"""How fast the scheduler is, where its time goes, and how often a search finds a bug of a known depth.

Runs in the kit's environment. Prints figures as a JSON list on stdout.
Example: tools/with_postgres.sh -- .venv/bin/python tools/benchmark/schedules.py speed --clients 3 --contended
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, LiteralString

import click
import psycopg
from sqlalchemy import Connection, Engine, create_engine, text

sys.path.insert(0, str(Path(__file__).parents[1]))
from pgdst.server.address import from_environment
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.pct import PCT
from pgdst.simulation.strategies.strategy import Strategy
from pgdst.simulation.strategies.uniform import Uniform

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts SELECT n, 0 FROM generate_series(0, 9) n;
"""
CLIENTS = ("ada", "bob", "cyd", "dan")
SCHEDULES = 200
PADDING = 4  # statements of no importance before and after what matters

Client = Callable[[], None]


@dataclass
class Bench:
    """A database of its own, an engine on it and a simulation to which it is attached."""

    observer: psycopg.Connection
    engine: Engine
    simulation: Simulation
    backends: ServerProcesses

    def run(self, clients: tuple[Client, ...], strategy: Strategy) -> int:
        """Run clients; return the number of steps of the schedule."""
        for name, client in zip(CLIENTS, clients, strict=False):
            self.simulation.spawn(name, client)
        result = self.simulation.run(strategy)
        for error in result.errors.values():
            raise error
        return len(result.schedule.clients)

    def clear(self) -> None:
        """Empty the accounts."""
        self.observer.execute("UPDATE accounts SET balance = 0")


@contextmanager
def bench(*, is_attached: bool = True, pool_size: int = 5) -> Iterator[Bench]:
    """Yield a bench on the run's server."""
    server = from_environment(os.environ)
    assert server is not None, "with_postgres.sh names it"
    name = f"bench_{os.getpid()}"
    with server_processes_of(server) as backends:
        with closing(server.connect()) as maintenance:
            maintenance.execute(f"CREATE DATABASE {name}".encode())
        there = server.with_database(name)
        engine = create_engine(there.url, pool_size=pool_size)
        with closing(there.connect()) as observer, closing(Simulation(backends)) as simulation:
            observer.execute(SCHEMA)
            if is_attached:
                simulation.attach(engine)
            yield Bench(observer, engine, simulation, backends)
            engine.dispose()
        with closing(server.connect()) as maintenance:  # a crash has ended the first
            maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@click.group()
def main() -> None:
    """Measure the scheduler."""


# How fast, and where the time goes.


def read(connection: Connection, account: int) -> int:
    """Return a balance."""
    return int(connection.execute(text("SELECT balance FROM accounts WHERE id = :id"), {"id": account}).scalar_one())


def write(connection: Connection, account: int, balance: int) -> None:
    """Set a balance."""
    query = text("UPDATE accounts SET balance = :balance WHERE id = :id")
    connection.execute(query, {"id": account, "balance": balance})


def deposits(engine: Engine, account: int, times: int) -> None:
    """Add one, in transactions of three statements and a commit; the first locks the account."""
    lock = text("SELECT FROM accounts WHERE id = :id FOR UPDATE")
    for _ in range(times):
        with engine.begin() as connection:
            connection.execute(lock, {"id": account})
            write(connection, account, read(connection, account) + 1)


@main.command()
@click.option("--clients", type=click.IntRange(2, len(CLIENTS)), default=2, show_default=True)
@click.option("--contended", is_flag=True, help="All clients write one row, instead of one each.")
@click.option(
    "--schedules", "whole", is_flag=True, help="Print schedules a second, of short clients, instead of steps."
)
@click.option("--times", type=int, default=10, show_default=True, help="How many runs.")
def speed(clients: int, contended: bool, whole: bool, times: int) -> None:
    """Print the steps a second of each run, of clients with ten transactions; or schedules, of clients with one."""
    with bench() as made:
        transactions = 1 if whole else 10
        accounts = [0 if contended else number for number in range(clients)]
        all_clients = tuple(partial(deposits, made.engine, account, transactions) for account in accounts)
        figures = []
        for seed in range(times):
            begin = time.perf_counter()
            made.clear()
            steps = made.run(all_clients, Uniform(seed))
            figures.append((1 if whole else steps) / (time.perf_counter() - begin))
        assert made.observer.execute("SELECT sum(balance) FROM accounts").fetchone() == (transactions * clients,)
    click.echo(json.dumps(figures))


@main.command()
@click.argument("part", type=click.Choice(["statements", "clients", "observer", "signals", "the rest"]))
@click.option("--clients", type=click.IntRange(2, len(CLIENTS)), default=3, show_default=True)
@click.option("--contended", is_flag=True, help="All clients write one row, instead of one each.")
@click.option("--times", type=int, default=10, show_default=True, help="How many runs.")
def part(part: str, clients: int, contended: bool, times: int) -> None:
    """Print the microseconds a step that a part takes: of each run."""
    spent: defaultdict[str, float] = defaultdict(float)
    with bench() as made, timed_parts(made.backends, spent):
        accounts = [0 if contended else number for number in range(clients)]
        all_clients = tuple(partial(deposits, made.engine, account, 10) for account in accounts)
        figures = []
        for seed in range(times):
            spent.clear()
            begin = time.perf_counter()
            steps = made.run(all_clients, Uniform(seed))
            spent["the rest"] = time.perf_counter() - begin - sum(spent.values())
            figures.append(spent[part] / steps * 1e6)
    click.echo(json.dumps(figures))


@contextmanager
def timed_parts(backends: ServerProcesses, spent: dict[str, float]) -> Iterator[None]:
    """Add up the seconds in which the server and the clients are waited for, the observer's questions and signals.

    Each without what it calls of those.
    """
    places: tuple[tuple[Any, str, Callable[[Any], str]], ...] = (
        (Proxy, "pump", _whom_it_waits_for),
        (ServerProcesses, "blockers", lambda _backends: "observer"),
        (type(backends._signals), "stop", lambda _processes: "signals"),
        (type(backends._signals), "resume", lambda _processes: "signals"),
    )
    inside = [0.0]

    def timed(function: Any, label_of: Callable[[Any], str]) -> Any:
        @wraps(function)
        def call(*arguments: Any) -> Any:
            label, begin, before = label_of(arguments[0]), time.perf_counter(), inside[0]
            try:
                return function(*arguments)
            finally:
                took = time.perf_counter() - begin
                spent[label] += took - (inside[0] - before)
                inside[0] = before + took

        return call

    originals = [getattr(owner, name) for owner, name, _label in places]
    for owner, name, label_of in places:
        setattr(owner, name, timed(getattr(owner, name), label_of))
    try:
        yield
    finally:
        for (owner, name, _label), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def _whom_it_waits_for(proxy: Proxy) -> str:
    client = proxy.run.turn if proxy.run is not None else None
    return "statements" if client is not None and client.session is not None and client.session.may_wait else "clients"


# How probably a bug is found.


def pad(connection: Connection) -> None:
    """Read what nobody writes."""
    for _ in range(PADDING):
        read(connection, 8)


def add_one(connection: Connection) -> None:
    """Write one more than was read."""
    write(connection, 0, read(connection, 0) + 1)


def depth_1(engine: Engine) -> tuple[Client, ...]:
    """Bob, who has something else to do first, needs what ada makes. Account 1 says that his came before hers."""

    def ada() -> None:
        with engine.begin() as connection:
            write(connection, 0, 1)

    def bob() -> None:
        with engine.begin() as connection:
            pad(connection)
            write(connection, 1, int(read(connection, 0) == 0))

    return ada, bob


def depth_2(engine: Engine) -> tuple[Client, ...]:
    """A lost update: the whole of one's deposit between the other's read and write."""

    def client() -> None:
        for work in (pad, add_one, pad):
            with engine.begin() as connection:
                work(connection)

    return client, client


def depth_3(engine: Engine) -> tuple[Client, ...]:
    """Between ada's reads comes the first of bob's two transactions, and not the second: account 1 says so."""

    def ada() -> None:
        with engine.begin() as connection:
            pad(connection)
            first = read(connection, 0)
            second = read(connection, 0)
            pad(connection)
            write(connection, 1, int((first, second) == (0, 1)))

    def bob() -> None:
        with engine.begin() as connection:
            pad(connection)
        for balance in (1, 2):
            with engine.begin() as connection:
                write(connection, 0, balance)
        with engine.begin() as connection:
            pad(connection)

    return ada, bob


# The clients, and by what the bug is known afterwards.
BUGS: dict[int, tuple[Callable[[Engine], tuple[Client, ...]], LiteralString]] = {
    1: (depth_1, "SELECT balance = 1 FROM accounts WHERE id = 1"),
    2: (depth_2, "SELECT balance = 1 FROM accounts WHERE id = 0"),
    3: (depth_3, "SELECT balance = 1 FROM accounts WHERE id = 1"),
}


@main.command()
@click.option("--depth", type=click.IntRange(1, 3), required=True)
@click.argument("by", type=click.Choice(["pct", "uniform", "threads"]))
def found(depth: int, by: str) -> None:
    """Print in what part of 200 runs the bug is seen, in percent: by a strategy, or by threads without a scheduler."""
    make, is_seen = BUGS[depth]
    with bench(is_attached=by != "threads") as made:
        steps = made.run(make(made.engine), Uniform(0)) if by == "pct" else 0  # what PCT needs to know
        first = time.time_ns()
        times = 0
        for seed in range(first, first + SCHEDULES):
            made.clear()
            clients = make(made.engine)
            if by == "threads":
                run_threads(clients)
            else:
                made.run(clients, PCT(seed, depth, steps) if by == "pct" else Uniform(seed))
            times += made.observer.execute(is_seen).fetchone() == (True,)
    click.echo(json.dumps([100 * times / SCHEDULES]))


def run_threads(clients: tuple[Client, ...]) -> None:
    """Let the clients go at once, as fast as they can."""
    start = threading.Barrier(len(clients))

    def go(client: Client) -> None:
        start.wait()
        client()

    threads = [threading.Thread(target=go, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
