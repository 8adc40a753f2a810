"""The pools of asyncpg and psycopg_pool: owners of connections, and waits for them in the schedule."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import psycopg_pool
import pytest
from conftest import leased_server
from pgdst.errors import ConfigurationError, ForeignServerError, InconclusiveError
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.simulation.faults.kinds import ALL, Fault
from pgdst.simulation.faults.plan import random_faults
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform

SCHEMA = b"CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)"
EMPTY = "TRUNCATE accounts; INSERT INTO accounts VALUES (1, 0)"
READ = "SELECT balance FROM accounts WHERE id = 1"
KINDS = ("asyncpg", "psycopg", "psycopg async")


@pytest.fixture(scope="module")
def processes() -> Iterator[ServerProcesses]:
    with leased_server(EmbeddedEngine(), SCHEMA) as server, server_processes_of(server) as found:
        yield found


@pytest.fixture
def simulation(processes: ServerProcesses) -> Iterator[Simulation]:
    with closing(Simulation(processes, stall_seconds=3)) as made:
        yield made


class Bench:
    """An attached pool, and clients that read a balance and write it back plus one."""

    def __init__(self, simulation: Simulation, processes: ServerProcesses, url: str, kind: str, size: int) -> None:
        self.simulation, self.processes, self.kind = simulation, processes, kind
        self.pool: Any = self._made(url, size)
        simulation.attach(self.pool)
        self.client: Callable[[], Any] = {
            "asyncpg": self._by_asyncpg,
            "psycopg": self._by_psycopg,
            "psycopg async": self._by_psycopg_async,
        }[kind]

    def _made(self, url: str, size: int) -> Any:
        async def asyncpg_pool() -> Any:
            return await asyncpg.create_pool(url, min_size=1, max_size=size)

        async def psycopg_async_pool() -> Any:
            made = psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=size, open=False)
            await made.open(wait=True)
            return made

        if self.kind == "psycopg":
            return psycopg_pool.ConnectionPool(url, min_size=1, max_size=size, open=True)
        return self.simulation.in_loop(asyncpg_pool() if self.kind == "asyncpg" else psycopg_async_pool())

    async def _by_asyncpg(self) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            balance = await connection.fetchval(READ)
            await connection.execute("UPDATE accounts SET balance = $1 WHERE id = 1", balance + 1)

    def _by_psycopg(self) -> None:
        with self.pool.connection() as connection:
            [balance] = connection.execute(READ).fetchone()
            connection.execute("UPDATE accounts SET balance = %s WHERE id = 1", [balance + 1])

    async def _by_psycopg_async(self) -> None:
        async with self.pool.connection() as connection:
            [balance] = await (await connection.execute(READ)).fetchone()
            await connection.execute("UPDATE accounts SET balance = %s WHERE id = 1", [balance + 1])

    def run(self, strategy: Any, faults: Any = None, clients: int = 2) -> Any:
        """Run clients that each deposit 1 into an empty account."""
        with self.processes.server.connect() as observer:
            observer.execute(EMPTY)
        for name in ("ada", "bob", "cyd")[:clients]:
            self.simulation.spawn(name, self.client)
        return self.simulation.run(strategy, faults)

    def balance(self) -> int:
        """Return the account's balance."""
        with self.processes.server.connect() as observer:
            row = observer.execute(READ.encode()).fetchone()
            assert row is not None
            return int(row[0])

    def close(self) -> None:
        """Close the pool."""
        if self.kind == "psycopg":
            self.pool.close()
        else:
            self.simulation.in_loop(self.pool.close())


def plain(processes: ServerProcesses) -> str:
    """Return the server's URL in the form that all three pools accept."""
    server = processes.server
    login = f"{quote(server.user)}:{quote(server.password)}"
    return f"postgresql://{login}@/{server.database}?host={quote(server.host)}&port={server.port}"


@contextmanager
def bench_of(simulation: Simulation, processes: ServerProcesses, kind: str, size: int) -> Iterator[Bench]:
    made = Bench(simulation, processes, plain(processes), kind, size)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_race_is_found_and_a_seed_gives_the_same_run(
    simulation: Simulation, processes: ServerProcesses, kind: str, size: int
) -> None:
    """With a pool of one connection there is no race: clients wait for it in the schedule."""
    with bench_of(simulation, processes, kind, size) as made:
        runs, balances = [], set()
        for seed in (*range(8), *range(8)):
            result = made.run(Uniform(seed), clients=3)
            assert {} == result.errors
            runs.append(result.trace.lines)
            balances.add(made.balance())
    assert runs[:8] == runs[8:]
    assert len(set(runs)) > 3
    assert ({3} if size == 1 else {1, 2, 3}) >= balances != set()
    assert size == 1 or min(balances) < 3
    assert (size == 5) is not any("waits for a connection of the pool" in line for run in runs for line in run)


def test_who_comes_too_late_gets_the_pools_own_error(simulation: Simulation, processes: ServerProcesses) -> None:
    """By the simulated clock."""
    with bench_of(simulation, processes, "psycopg", 1) as made:
        held = simulation

        def hold() -> None:
            with made.pool.connection() as connection:
                connection.execute("SELECT 1")
                with pytest.raises(psycopg_pool.PoolTimeout):
                    made.pool.getconn(timeout=600)

        held.spawn("ada", hold)
        assert {} == held.run(Uniform(0)).errors


def test_faults_strike_and_the_next_run_begins_anew(
    simulation: Simulation, processes: ServerProcesses, kind: str
) -> None:
    with bench_of(simulation, processes, kind, 2) as made:
        calm = made.run(Uniform(0)).trace.lines
        for fault in (Fault.LOST, Fault.TERMINATED, Fault.CRASH, Fault.COMMIT_DONE):
            struck = [(seed, made.run(Uniform(seed), random_faults(seed, [fault]))) for seed in range(12)]
            assert any(run.schedule.faults for _, run in struck), fault
            for seed, run in struck[:4]:
                assert run.trace.lines == made.run(Uniform(seed), random_faults(seed, [fault])).trace.lines
            assert calm == made.run(Uniform(0)).trace.lines


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 2, 5])
def test_so_it_is_with_all_faults_in_a_hundred_seeds(
    simulation: Simulation, processes: ServerProcesses, kind: str, size: int
) -> None:
    """Except the faults that change the clock, which is not reset between runs."""
    kinds = [fault for fault in ALL if fault not in (Fault.CLOCK, Fault.CLOCK_BACK, Fault.FROZEN)]
    with bench_of(simulation, processes, kind, size) as made:
        for seed in range(100):
            one, other = (made.run(Uniform(seed), random_faults(seed, kinds), clients=3) for _twice in range(2))
            assert one.trace.lines == other.trace.lines, seed


def test_two_tasks_of_one_client_are_refused(simulation: Simulation, processes: ServerProcesses) -> None:
    with bench_of(simulation, processes, "asyncpg", 2) as made:

        async def twice() -> None:
            await asyncio.gather(made.client(), made.client())

        simulation.spawn("ada", twice)
        with pytest.raises(InconclusiveError, match="The client ada is at two places at once"):
            simulation.run(Uniform(0))
        assert {} == made.run(Schedule.parse("ada bob")).errors


def test_a_pool_may_be_opened_later(simulation: Simulation, processes: ServerProcesses) -> None:
    """As backends do at their start."""
    pool = psycopg_pool.ConnectionPool(plain(processes), min_size=2, max_size=2, open=False)
    simulation.attach(pool)
    with pool:
        for _twice in range(2):
            simulation.spawn("ada", lambda: pool.getconn().execute("SELECT 1"))
            assert {} == simulation.run(Uniform(0)).errors


def test_what_is_sent_on_anothers_connection_is_refused(simulation: Simulation, processes: ServerProcesses) -> None:
    """The pool has lent it to the other client, and no transaction is open on it."""
    kept: list[Any] = []

    def takes() -> None:
        kept.append(pool.getconn())
        kept[0].execute("SELECT 1")

    with psycopg_pool_of(processes, kwargs={"autocommit": True}) as pool:
        simulation.attach(pool)
        simulation.spawn("ada", takes)
        simulation.spawn("bob", lambda: kept[0].execute("SELECT 2"))
        with pytest.raises(InconclusiveError, match="The client ada is at two places at once while bob has the turn"):
            simulation.run(Schedule.parse("ada*3 bob*2"))


def test_the_pool_is_itself_again_afterwards(processes: ServerProcesses) -> None:
    url = plain(processes)
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=2, open=True) as pool:
        with closing(Simulation(processes)) as simulation:
            simulation.attach(pool)
            simulation.spawn("ada", lambda: pool.getconn().close())
            simulation.run(Uniform(0))
        with pool.connection() as connection:
            assert (1,) == connection.execute("SELECT 1").fetchone()
            assert processes.server.host == connection.info.host


def test_what_leads_elsewhere_or_cannot_be_served_is_one_error(simulation: Simulation) -> None:
    with pytest.raises(ForeignServerError, match=r"The pool leads to 127\.0\.0\.1:1"):
        simulation.attach(psycopg_pool.ConnectionPool("postgresql://me@127.0.0.1:1/mine", open=False))
    with pytest.raises(ForeignServerError, match="The pool leads to None"):
        simulation.attach(psycopg_pool.ConnectionPool(open=False))
    with pytest.raises(ConfigurationError, match="needs an engine of SQLAlchemy's or a pool"):
        simulation.attach(object())


def test_a_pool_whose_loop_does_not_run_is_one_error(simulation: Simulation, processes: ServerProcesses) -> None:
    async def made() -> Any:
        return await asyncpg.create_pool(plain(processes), min_size=1, max_size=1)

    def run_to_its_end(work: Coroutine[Any, Any, Any]) -> Any:
        return loop.run_until_complete(work)

    with closing(asyncio.new_event_loop()) as loop:
        pool = run_to_its_end(made())
        with pytest.raises(ConfigurationError, match=r"loop of the pool does not run.*simulation\.in_loop"):
            simulation.attach(pool)
        run_to_its_end(pool.close())


@contextmanager
def psycopg_pool_of(processes: ServerProcesses, **options: Any) -> Iterator[Any]:
    chosen = {"min_size": 1, "max_size": 2, "open": True} | options
    with psycopg_pool.ConnectionPool(plain(processes), **chosen) as pool:
        yield pool


def test_one_simulation_after_another_may_have_it(processes: ServerProcesses) -> None:
    with psycopg_pool_of(processes) as pool:
        for _twice in range(2):
            with closing(Simulation(processes)) as simulation:
                simulation.attach(pool)
                with pytest.raises(ConfigurationError, match="The pool is attached already"):
                    simulation.attach(pool)
                simulation.spawn("ada", lambda: pool.getconn().execute("SELECT 1"))
                assert {} == simulation.run(Uniform(0)).errors
        pool.wait(2)
        assert 1 == pool.get_stats()["pool_size"]


def test_what_is_done_with_it_between_runs_changes_none(simulation: Simulation, processes: ServerProcesses) -> None:
    with bench_of(simulation, processes, "psycopg", 3) as made:
        traces = set()
        for _ in range(6):
            with made.pool.connection() as connection:
                connection.execute("SELECT 1")
            made.pool.check()
            traces.add(made.run(Uniform(0), clients=3).trace.lines)
            assert made.pool.get_stats()["pool_size"] <= 3
    assert 1 == len(traces)


@pytest.mark.parametrize("fault", [Fault.TERMINATED, Fault.LOST])
def test_what_a_check_finds_broken_is_opened_anew(
    simulation: Simulation, processes: ServerProcesses, fault: Fault
) -> None:
    def twice() -> None:
        for _ in range(2):
            with pool.connection() as connection:
                connection.execute("SELECT 1")

    with psycopg_pool_of(processes, check=psycopg_pool.ConnectionPool.check_connection) as pool:
        simulation.attach(pool)
        for seed in range(6):
            traces = set()
            for _again in range(2):
                simulation.spawn("ada", twice)
                simulation.spawn("bob", twice)
                traces.add(simulation.run(Uniform(seed), random_faults(seed, [fault])).trace.lines)
            assert 1 == len(traces)


def test_no_more_connections_are_used_than_the_pool_may_have(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    """A broken connection is given back, and the next client opens another in its place."""
    used: set[str] = set()

    def breaks() -> None:
        connection = pool.getconn()
        connection.close()
        pool.putconn(connection)

    def uses(name: str) -> None:
        with pool.connection() as connection:
            used.add(name)
            assert 1 == len(used)
            connection.execute("SELECT 1")
            used.remove(name)

    with psycopg_pool_of(processes, max_size=1) as pool:
        simulation.attach(pool)
        for seed in range(40):
            simulation.spawn("ada", breaks)
            simulation.spawn("bob", uses, "bob")
            simulation.spawn("cyd", uses, "cyd")
            assert {} == simulation.run(Uniform(seed)).errors


def test_what_a_client_keeps_beyond_its_run_is_counted_once(simulation: Simulation, processes: ServerProcesses) -> None:
    """That connection is dead by then. Whether it is given back or not, the pool's number of connections is right."""
    kept: list[Any] = []
    with psycopg_pool_of(processes) as pool:
        simulation.attach(pool)
        for function in (lambda: kept.append(pool.getconn()), lambda: pool.putconn(kept.pop()), str):
            simulation.spawn("ada", function)
            assert {} == simulation.run(Uniform(0)).errors
            simulation.spawn("ada", pool.get_stats)
            simulation.spawn("bob", str)
            assert 2 == simulation.run(Uniform(0)).value("ada")["pool_available"]


def test_too_many_who_wait_are_refused_by_the_pool(simulation: Simulation, processes: ServerProcesses) -> None:
    def use() -> None:
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    with psycopg_pool_of(processes, max_size=1, max_waiting=1) as pool:
        simulation.attach(pool)
        refused: set[type] = set()
        for seed in range(10):
            for name in ("ada", "bob", "cyd", "dan"):
                simulation.spawn(name, use)
            refused.update(map(type, simulation.run(Uniform(seed)).errors.values()))
    assert {psycopg_pool.TooManyRequests} == refused


def test_a_function_is_asked_for_the_options_of_each_connection(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    asked = iter(range(100))

    def options() -> dict[str, Any]:
        return {"application_name": f"number {next(asked)}"}

    with psycopg_pool_of(processes, kwargs=options) as pool:
        simulation.attach(pool)
        simulation.spawn("ada", lambda: pool.getconn().execute("SHOW application_name").fetchone())
        [said] = simulation.run(Uniform(0)).value("ada")
        assert int(said.removeprefix("number ")) > 1
        simulation.close()
        assert options is pool.kwargs


def test_a_pool_that_is_closed_says_so(simulation: Simulation, processes: ServerProcesses) -> None:
    with psycopg_pool_of(processes) as pool:
        simulation.attach(pool)

    def use() -> None:
        with pytest.raises(psycopg_pool.PoolClosed):
            pool.getconn()

    simulation.spawn("ada", use)
    assert {} == simulation.run(Uniform(0)).errors


def test_connections_past_the_gate_are_one_error(simulation: Simulation, processes: ServerProcesses) -> None:
    async def past_it(*_arguments: Any, **_options: Any) -> Any:
        return await asyncpg.connect(plain(processes))

    async def made() -> Any:
        return await asyncpg.create_pool(plain(processes), min_size=1, max_size=1, connect=past_it)

    simulation.attach(pool := simulation.in_loop(made()))
    simulation.spawn("ada", str)
    with pytest.raises(ConfigurationError, match="by a function of its own, so they have no gate"):
        simulation.run(Uniform(0))
    simulation.in_loop(pool.close())


def test_a_pool_that_keeps_nothing_is_refused(simulation: Simulation, processes: ServerProcesses) -> None:
    with pytest.raises(ConfigurationError, match="NullConnectionPool keeps no connections"):
        simulation.attach(psycopg_pool.NullConnectionPool(plain(processes), open=False))


def test_a_pool_of_asyncpgs_is_itself_again_afterwards(processes: ServerProcesses) -> None:
    async def made() -> Any:
        return await asyncpg.create_pool(f"{plain(processes)}&search_path=public", min_size=1, max_size=2)

    async def use() -> Any:
        return await pool.fetchval("SELECT 1")

    with closing(asyncio.new_event_loop()) as loop:
        pool = loop.run_until_complete(made())
        before = type(pool._queue), pool._minsize, dict(pool._connect_kwargs)
        with closing(Simulation(processes)) as simulation, pytest.raises(ConfigurationError, match="does not run"):
            simulation.attach(pool)
        assert before == (type(pool._queue), pool._minsize, dict(pool._connect_kwargs))
        assert 1 == loop.run_until_complete(use())
        loop.run_until_complete(pool.close())
