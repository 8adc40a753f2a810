"""The same schedule gives the same run with every driver, and statements of uncertain owner are refused."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psycopg
import psycopg2  # type: ignore[import-untyped]  # as asyncpg
import pytest
from conftest import leased_server
from pgdst.errors import ConfigurationError, ForeignServerError, InconclusiveError
from pgdst.server.address import Server
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.simulation.clients.client import Outcome, sqlstate
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import random_faults
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts VALUES (1, 0), (2, 0), (3, 0);
"""
EMPTY: LiteralString = "UPDATE accounts SET balance = 0"
READ = "SELECT balance FROM accounts WHERE id = :id"
WRITE = "UPDATE accounts SET balance = :new WHERE id = :id"
CLIENTS = {"ada": (1, 2), "bob": (2, 1), "cyd": (1, 3)}
DRIVERS = ("psycopg", "psycopg async", "psycopg2", "asyncpg", "pg8000")
SEEDS = range(6)


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.long), "embedded"])
def processes(request: pytest.FixtureRequest) -> Iterator[ServerProcesses]:
    engine = DockerEngine() if request.param == "docker" else EmbeddedEngine()
    with leased_server(engine, SCHEMA) as server, server_processes_of(server) as found:
        yield found


def deposit(engine: Any, *accounts: int, locking: bool = True) -> None:
    """Add one to each of the accounts, in one transaction."""
    with engine.begin() as connection:
        for number in accounts:
            balance = connection.execute(text(READ + " FOR UPDATE" * locking), {"id": number}).scalar_one()
            connection.execute(text(WRITE), {"id": number, "new": balance + 1})


async def deposit_async(engine: AsyncEngine, *accounts: int, locking: bool = True) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(lambda inner: _deposit(inner, *accounts, locking=locking))


def _deposit(connection: Any, *accounts: int, locking: bool) -> None:
    for number in accounts:
        balance = connection.execute(text(READ + " FOR UPDATE" * locking), {"id": number}).scalar_one()
        connection.execute(text(WRITE), {"id": number, "new": balance + 1})


@dataclass
class Bench:
    """A simulation with an engine of some driver, and runs of depositors on it."""

    server: Server
    simulation: Simulation
    engine: Any

    @property
    def deposit(self) -> Callable[..., Any]:
        """The deposit of this driver: a function or a coroutine function."""
        return deposit_async if isinstance(self.engine, AsyncEngine) else deposit

    def run(self, strategy: Any, faults: Any = None, clients: Any = None, **options: Any) -> Result:
        """Run clients that deposit into empty accounts."""
        with self.server.connect() as observer:
            observer.execute(EMPTY)
        for name, accounts in (clients or CLIENTS).items():
            self.simulation.spawn(name, self.deposit, self.engine, *accounts, **options)
        return self.simulation.run(strategy, faults)

    def total(self) -> int:
        """Return the sum of all accounts."""
        with self.server.connect() as observer:
            row = observer.execute("SELECT sum(balance) FROM accounts").fetchone()
        return int(row[0]) if row else 0


def engine_of(server: Server, driver: str, **options: Any) -> Any:
    name, _, is_async = driver.partition(" ")
    url = server.url.replace("+psycopg", f"+{name}", 1)
    return create_async_engine(url, **options) if is_async or name == "asyncpg" else create_engine(url, **options)


@pytest.fixture
def bench(processes: ServerProcesses) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as opened:

        def made(driver: str) -> Bench:
            simulation = opened.enter_context(closing(Simulation(processes)))
            engine = engine_of(processes.server, driver)
            simulation.attach(engine)
            return Bench(processes.server, simulation, engine)

        yield made


def in_short(outcome: Outcome) -> str | None:
    """Return the part of an outcome that all drivers share: the SQLSTATE."""
    if outcome.error is None:
        return "returned"
    return sqlstate(outcome.error) or sqlstate(getattr(outcome.error, "orig", None))


@pytest.mark.parametrize("driver", DRIVERS[1:])
def test_every_driver_gives_the_run_that_psycopg_gives(bench: Callable[..., Bench], driver: str) -> None:
    """Also with faults: the same steps of the same clients, the same outcomes and the same final contents."""
    own, other = bench("psycopg"), bench(driver)
    for seed in SEEDS:
        one, two = (made.run(Uniform(seed), random_faults(seed)) for made in (own, other))
        assert str(one.schedule) == str(two.schedule), seed
        states = [{name: in_short(found) for name, found in result.outcomes.items()} for result in (one, two)]
        # Drivers differ in the error for a broken connection: no SQLSTATE, or one of class 08.
        lost = [name for name in states[0] if {None, "08003", "08006", "57P01", "57P02"} & {s[name] for s in states}]
        assert {n: s for n, s in states[0].items() if n not in lost} == {
            n: s for n, s in states[1].items() if n not in lost
        }, seed
        assert own.total() == other.total()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_seed_gives_the_same_trace_each_time(bench: Callable[..., Bench], driver: str) -> None:
    made = bench(driver)
    hashes = [[made.run(Uniform(n), random_faults(n)).trace.hexdigest() for n in SEEDS] for _twice in range(2)]
    assert hashes[0] == hashes[1]
    assert len(SEEDS) == len(set(hashes[0]))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_update_is_found_and_replayed(bench: Callable[..., Bench], driver: str) -> None:
    made = bench(driver)
    two = {"ada": (1,), "bob": (1,)}
    search = Exhaustive(preemptions=1)
    for strategy in search:
        result = made.run(strategy, clients=two, locking=False)
        if made.total() == 1:
            break
    assert not search.is_exhausted
    for _ in range(10):
        again = made.run(Schedule.parse(str(result.schedule)), clients=two, locking=False)
        assert (1, result.trace.hexdigest()) == (made.total(), again.trace.hexdigest())


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_kind_of_fault_strikes_every_driver(bench: Callable[..., Bench], driver: str) -> None:
    made, struck = bench(driver), set()
    for kind in Fault:
        for seed in range(40):
            result = made.run(Uniform(seed), random_faults(seed, [kind]), clients={"ada": (1,), "bob": (1,)})
            if kind in result.schedule.faults.values():
                struck.add(kind)
                break
    assert struck >= set(Fault) - {Fault.TOO_MANY}  # nobody connects here


def transfer_by_psycopg2(url: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT balance FROM accounts WHERE id = %s", (1,))
        cursor.execute("UPDATE accounts SET balance = %s WHERE id = 1", (cursor.fetchone()[0] + 1,))


def transfer_by_psycopg(url: str) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT balance FROM accounts WHERE id = %s", (1,)).fetchone()
        assert row
        connection.execute("UPDATE accounts SET balance = %s WHERE id = 1", (row[0] + 1,))


async def transfer_by_asyncpg(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            balance = await connection.fetchval("SELECT balance FROM accounts WHERE id = $1", 1)
            await connection.execute("UPDATE accounts SET balance = $1 WHERE id = 1", balance + 1)
    finally:
        await connection.close()


async def transfer_by_a_pool_of_asyncpg(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        balance = await connection.fetchval("SELECT balance FROM accounts WHERE id = $1", 1)
        await connection.execute("UPDATE accounts SET balance = $1 WHERE id = 1", balance + 1)


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "tcp"])
@pytest.mark.parametrize(
    "transfer",
    [transfer_by_psycopg, transfer_by_psycopg2, transfer_by_asyncpg, transfer_by_a_pool_of_asyncpg],
)
def test_connections_that_clients_make_themselves_come_to_the_gate_by_its_url(
    processes: ServerProcesses, transfer: Callable[[str], Any], tcp: bool
) -> None:
    wrong, traces = set(), []
    with closing(Simulation(processes)) as simulation:
        url = simulation.url(tcp=tcp)
        for seed in (*range(8), *range(8)):
            with processes.server.connect() as observer:
                observer.execute(EMPTY)
                for name in ("ada", "bob"):
                    simulation.spawn(name, transfer, url)
                result = simulation.run(Uniform(seed))
                assert {} == result.errors
                traces.append(result.trace.hexdigest())
                row = observer.execute("SELECT balance FROM accounts WHERE id = 1").fetchone()
                wrong.add(row and row[0])
    assert {1, 2} == wrong  # in some runs one update is lost
    assert traces[:8] == traces[8:]


async def at_once(made: Bench) -> None:
    """Run two tasks at once, on connections of their own."""
    await asyncio.gather(deposit_async(made.engine, 1), deposit_async(made.engine, 2))


async def behind(made: Bench) -> None:
    """Deposit, and leave a task behind that goes on by itself."""
    task = asyncio.create_task(deposit_async(made.engine, 1))
    await deposit_async(made.engine, 2)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks


def in_a_thread(made: Bench) -> None:
    """Deposit, and deposit again in a thread with the client's context."""
    context = contextvars.copy_context()
    other = threading.Thread(target=quietly, args=(context.run, deposit, made.engine, 1), daemon=True)
    other.start()
    deposit(made.engine, 2)
    other.join()


def quietly(work: Callable[..., Any], *arguments: Any) -> None:
    with suppress(BaseException):  # its run is refused
        work(*arguments)


TRY = [
    *((driver, twice, 20) for driver in ("psycopg async", "asyncpg") for twice in (at_once, behind)),
    *((driver, in_a_thread, 3) for driver in ("psycopg", "psycopg2")),  # a second each, as the thread is waited for
]


@pytest.mark.parametrize("times", [1, pytest.param(125, marks=pytest.mark.long)])
@pytest.mark.parametrize(("driver", "twice", "runs"), TRY)
def test_no_statement_is_taken_for_another_clients_in_ten_thousand_runs_that_try(
    bench: Callable[..., Bench], driver: str, twice: Callable[[Bench], Any], runs: int, times: int
) -> None:
    """Two flows of control in one client are refused in each run."""
    made = bench(driver)
    for seed in range(runs * times):
        made.simulation.spawn("ada", twice, made)
        made.simulation.spawn("bob", made.deposit, made.engine, 3)
        with pytest.raises(InconclusiveError, match="Spawn a client for each flow of control"):
            made.simulation.run(Uniform(seed))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_run_after_one_that_was_refused_is_as_any_other(bench: Callable[..., Bench], driver: str) -> None:
    made = bench(driver)
    before = made.run(Uniform(3)).trace.hexdigest()
    for name in ("ada", "bob"):
        made.simulation.spawn(name, made.deposit, made.engine, 1)
    with pytest.raises(Exception, match="Step 2"):
        made.simulation.run(Schedule.parse("ada nobody"))
    assert before == made.run(Uniform(3)).trace.hexdigest()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_statement_is_cancelled_by_the_drivers_own_method(bench: Callable[..., Bench], driver: str) -> None:
    """Without the kit's patch it waits for the proxy while holding the GIL, so that the proxy can't answer."""
    connection = bench(driver).engine.raw_connection()
    threading.Timer(0.2, connection.driver_connection.cancel).start()
    with closing(connection), pytest.raises(Exception, match="canceling statement due to user request"):
        connection.cursor().execute("SELECT pg_sleep(20)")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_to_cancel_is_a_step_of_the_client_that_does(bench: Callable[..., Bench], driver: str) -> None:
    made = bench(driver)

    def cancel() -> None:
        with made.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            connection.connection.driver_connection.cancel()

    hashes = []
    for seed in (*range(4), *range(4)):
        for name in ("ada", "bob"):
            made.simulation.spawn(name, cancel)
        result = made.simulation.run(Uniform(seed))
        assert {} == result.errors
        assert 8 == len(result.schedule.clients)  # each begins, reads, cancels, and rolls back
        assert ["done", "done"] == [step.answer for step in result.steps if step.what == "cancel"]
        hashes.append(result.trace.hexdigest())
    assert hashes[:4] == hashes[4:]


def test_several_coroutines_share_a_loop_and_a_pool_of_asyncpg(processes: ServerProcesses) -> None:
    """One connection for two clients: waits for it belong to the schedule."""
    with closing(Simulation(processes)) as simulation:
        engine = engine_of(processes.server, "asyncpg", pool_size=1, max_overflow=0)
        simulation.attach(engine)
        traces = []
        for seed in (*range(6), *range(6)):
            with processes.server.connect() as observer:
                observer.execute(EMPTY)
            for name in ("ada", "bob", "cyd"):
                simulation.spawn(name, deposit_async, engine, 1)
            result = simulation.run(Uniform(seed))
            assert {} == result.errors
            traces.append(result.trace.hexdigest())
        assert traces[:6] == traces[6:]


def test_an_engine_of_another_server_is_refused(processes: ServerProcesses) -> None:
    with closing(Simulation(processes)) as simulation:
        engine = create_engine("postgresql+psycopg2://somebody:secret@127.0.0.1:9/elsewhere")
        with pytest.raises(ForeignServerError, match=r"The engine leads to 127\.0\.0\.1:9"):
            simulation.attach(engine)


def test_an_engine_that_makes_its_connections_itself_is_refused(processes: ServerProcesses) -> None:
    server = processes.server
    options = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    engine = create_engine(
        server.url.replace("+psycopg", "+psycopg2"),
        creator=lambda: psycopg2.connect(dbname=server.database, **options),
    )
    with closing(Simulation(processes)) as simulation, pytest.raises(ConfigurationError, match="by a `creator`"):
        simulation.attach(engine)
    engine.dispose()
