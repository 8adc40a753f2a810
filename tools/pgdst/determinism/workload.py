"""The workload of the determinism check: clients, drawn from a seed, that contend in many ways.

They lock rows, tables and advisory locks, with and without waiting. They run into deadlocks, unique violations, foreign
keys and serialization failures. They roll back to savepoints, sleep, and open new connections. In some runs they also
stop inside statements. With faults, most runs are hit by some.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.util import await_only, greenlet_spawn

from pgdst.server.address import Server
from pgdst.simulation.clients.client import sqlstate
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import random_faults
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.pct import PCT
from pgdst.simulation.strategies.strategy import Strategy
from pgdst.simulation.strategies.uniform import Uniform
from pgdst.simulation.trace import Trace

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE names (name text PRIMARY KEY, uses int NOT NULL DEFAULT 1);
CREATE TABLE entries (id int GENERATED ALWAYS AS IDENTITY, account int REFERENCES accounts, amount int NOT NULL);
INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 3) n;
"""
TABLES = ("accounts", "names", "entries")
CLIENTS = ("ada", "bob", "cyd", "dan", "eve")
LEVELS = ("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
ASYNCHRONOUS = ("psycopg_async", "asyncpg")
# One in so many runs stops inside statements.
INSIDE_EVERY = 5

Operation = Callable[[Connection, Random], Any]


class Workload:
    """Runs of drawn clients on one server, each in a database of its own that is dropped afterwards."""

    def __init__(self, processes: ServerProcesses, template: Server, kinds: Sequence[Fault], driver: str) -> None:
        self._processes = processes
        self._template = template
        self._kinds = kinds
        self._driver = driver
        self._runs = 0

    def run(self, seed: int) -> Trace:
        """Return the trace of the seed's run: its steps, the rows that each client has read, and all rows with ctids.

        Raises: InconclusiveError; whatever a client raises that is no error of the database.
        """
        self._runs += 1
        name = f"{self._template.database}_{self._runs}"
        _do(self._processes, f"CREATE DATABASE {name} TEMPLATE {self._template.database} STRATEGY FILE_COPY")
        try:
            return self._run_in(self._template.with_database(name), seed)
        finally:
            _do(self._processes, f"DROP DATABASE {name} WITH (FORCE)")

    def _run_in(self, server: Server, seed: int) -> Trace:
        url = server.url.replace("+psycopg:", f"+{self._driver.removesuffix('_async')}:", 1)
        is_async = self._driver in ASYNCHRONOUS
        engine: Any = _asynchronous(url) if is_async else create_engine(url)
        with closing(Simulation(self._processes, inside_statements=seed % INSIDE_EVERY == 0)) as simulation:
            simulation.attach(engine)
            random = Random(seed)  # noqa: S311  # seeded random is the point
            for client in CLIENTS[: random.randint(2, len(CLIENTS))]:
                own = Random(f"{seed} {client}")  # noqa: S311  # seeded
                if is_async:
                    simulation.spawn(client, greenlet_spawn, _act, engine.sync_engine, simulation, own, in_a_loop=True)
                else:
                    simulation.spawn(client, _act, engine, simulation, own)
            strategy = _strategy(random)
            result = simulation.run(strategy, random_faults(random.getrandbits(64), self._kinds))
        with closing(server.connect()) as connection:
            return _complete(result, connection)


@contextmanager
def workload_of(
    processes: ServerProcesses, kinds: Sequence[Fault] = (), name: str = "workload", driver: str = "psycopg"
) -> Iterator[Workload]:
    """Yield the workload on a server, with faults of these kinds and an engine on this driver.

    Databases whose names begin with `name` must not be used otherwise.
    """
    template = processes.server.with_database(name)
    _do(processes, f"CREATE DATABASE {name}")
    with closing(template.connect()) as connection:
        connection.execute(SCHEMA)
    yield Workload(processes, template, kinds, driver)
    _do(processes, f"DROP DATABASE {name} WITH (FORCE)")


def _asynchronous(url: str) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine  # needs greenlet, which only its users have

    return create_async_engine(url)


def _do(processes: ServerProcesses, statement: str) -> None:
    """Execute a statement in a new session, as a crash ends existing ones."""
    with closing(processes.server.connect()) as maintenance:
        maintenance.execute(statement.encode())


def _strategy(random: Random) -> Strategy:
    seed = random.getrandbits(64)
    return Uniform(seed) if random.random() < 0.5 else PCT(seed, depth=random.randint(1, 5), steps=60)


def _complete(result: Result, connection: psycopg.Connection) -> Trace:
    """Add the values that the clients have read, and all rows, to a run's trace."""
    for client, outcome in result.outcomes.items():
        result.trace.append(f"{client} returned {outcome.get()}")
    for table in TABLES:
        for place, row in connection.execute(f"SELECT ctid::text, {table}::text FROM {table}".encode()):  # noqa: S608  # our own words
            result.trace.append(f"{table} {place} {row}")
    return result.trace


# Operations of clients.


def _act(engine: Engine, simulation: Simulation, random: Random, *, in_a_loop: bool = False) -> list[Any]:
    done = []
    for _ in range(random.randint(1, 3)):
        done.append(_transaction(engine, random))
        if random.random() < 0.2:
            duration = timedelta(seconds=random.randint(1, 3))
            if in_a_loop:
                await_only(simulation.clock.sleep_async(duration))
            else:
                simulation.clock.sleep(duration)
    return done


def _transaction(engine: Engine, random: Random) -> list[Any]:
    """Do some operations in one transaction; return their results, followed by the error if there was one."""
    done: list[Any] = []
    try:
        with engine.connect().execution_options(isolation_level=random.choice(LEVELS)) as connection:
            if random.random() < 0.1:
                connection.detach()  # from the pool: it is closed at the end, and another is opened later
            with connection.begin():
                for _ in range(random.randint(2, 6)):
                    done.append(random.choice(OPERATIONS)(connection, random))
    # PendingRollbackError: an operation after a lost connection. The driver's Error: SQLAlchemy's own set-up by SQL.
    except (DBAPIError, PendingRollbackError, engine.dialect.loaded_dbapi.Error) as error:
        done.append(_state(error))
    return done


def _state(error: Exception) -> str:
    """Return the SQLSTATE, or for an error without one, as of a lost connection, the name of its class."""
    return sqlstate(getattr(error, "orig", error)) or type(error).__name__


def _all(connection: Connection, query: str, **parameters: Any) -> list[Any]:
    """Execute a statement, and return its rows, or the number of changed rows if it returns none."""
    result = connection.execute(text(query), parameters)
    return [tuple(row) for row in result] if result.returns_rows else [result.rowcount]


def _account(random: Random) -> int:
    return random.randint(1, 3)


def _name(random: Random) -> str:
    return random.choice("xyz")


def _change(connection: Connection, random: Random) -> Any:
    return _all(connection, "UPDATE accounts SET balance = balance + 1 WHERE id = :id", id=_account(random))


def _change_several(connection: Connection, random: Random) -> Any:
    return _all(connection, "UPDATE accounts SET balance = balance + 1 WHERE id >= :id", id=_account(random))


def _read_and_write(connection: Connection, random: Random) -> Any:
    read, written = _account(random), _account(random)
    [(balance,)] = _all(connection, "SELECT coalesce(max(balance), 0) FROM accounts WHERE id = :id", id=read)
    return _all(connection, "UPDATE accounts SET balance = :new WHERE id = :id", id=written, new=balance + 1)


def _lock_rows(connection: Connection, random: Random) -> Any:
    strength = random.choice(["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
    patience = random.choice(["", "", "NOWAIT", "SKIP LOCKED"])
    query = f"SELECT * FROM accounts WHERE id IN (:one, :two) LIMIT 2 FOR {strength} {patience}"  # noqa: S608  # our own words
    return _all(connection, query, one=_account(random), two=_account(random))


def _lock_a_table(connection: Connection, random: Random) -> Any:
    mode = random.choice(["SHARE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
    return _all(connection, f"LOCK TABLE {random.choice(TABLES)} IN {mode} MODE {random.choice(['', 'NOWAIT'])}")


def _lock_a_number(connection: Connection, random: Random) -> Any:
    function = random.choice(["pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock"])
    return _all(connection, f"SELECT {function}(:number)::text", number=random.randint(1, 2))


def _insert_a_name(connection: Connection, random: Random) -> Any:
    conflict = random.choice(["", "ON CONFLICT DO NOTHING", "ON CONFLICT (name) DO UPDATE SET uses = names.uses + 1"])
    query = f"INSERT INTO names VALUES (:name) {conflict} RETURNING uses"  # noqa: S608  # our own words
    return _all(connection, query, name=_name(random))


def _delete_a_name(connection: Connection, random: Random) -> Any:
    return _all(connection, "DELETE FROM names WHERE name = :name", name=_name(random))


def _insert_what_is_missing(connection: Connection, random: Random) -> Any:
    query = (
        "INSERT INTO entries (amount) SELECT :n WHERE NOT EXISTS (SELECT FROM entries WHERE amount = :n) RETURNING id"
    )
    return _all(connection, query, n=random.randint(5, 6))


def _enter(connection: Connection, random: Random) -> Any:
    query = "INSERT INTO entries (account, amount) VALUES (:id, 1) RETURNING id"
    return _all(connection, query, id=_account(random))


def _enter_several(connection: Connection, random: Random) -> Any:
    """Send several statements before the first answer arrives, in psycopg's pipeline mode."""
    several = [{"id": _account(random), "amount": n} for n in range(2)]
    connection.execute(text("INSERT INTO entries (account, amount) VALUES (:id, :amount)"), several)


def _renumber(connection: Connection, random: Random) -> Any:
    return _all(connection, "UPDATE accounts SET id = id + 10 WHERE id = :id", id=_account(random))


def _count(connection: Connection, random: Random) -> Any:
    return _all(connection, f"SELECT count(*), max({random.choice(['id', 'amount'])}) FROM entries")  # noqa: S608  # our own words


def _try(connection: Connection, random: Random) -> Any:
    """Do another operation in a savepoint, and roll back to it if the operation fails."""
    try:
        with connection.begin_nested():
            return random.choice(OPERATIONS)(connection, random)
    except DBAPIError as error:
        return _state(error)


# Operations that make clients wait for each other are listed more than once, so that they are more frequent.
OPERATIONS: tuple[Operation, ...] = (
    *(_change,) * 4,
    *(_lock_rows,) * 3,
    *(_insert_a_name,) * 3,
    *(_read_and_write,) * 2,
    *(_try,) * 2,
    _change_several,
    _lock_a_table,
    _lock_a_number,
    _delete_a_name,
    _insert_what_is_missing,
    _enter,
    _enter_several,
    _renumber,
    _count,
)
