"""Waits for a connection of the pool, and sleeps: both belong to the schedule."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pgdst.errors import ConfigurationError, InconclusiveError
from pgdst.simulation.clients.clock import START, SimulatedClock
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from races import Races, deposit, nested
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine


def test_who_waits_for_the_pool_waits_in_the_schedule(races: Races) -> None:
    engine = races.engine(pool_size=1, max_overflow=0)
    simulation = races.simulation(engine)
    hashes = []
    for seed in [*range(8), *range(8)]:
        result = races.run(simulation, [deposit(engine, 1)] * 3, Uniform(seed))
        assert {} == result.errors
        assert 3 == races.balances()[0]
        hashes.append(result.trace.hexdigest())
    assert hashes[:8] == hashes[8:]
    assert len(set(hashes)) > 1


def test_a_pool_that_deadlocks_times_out_by_the_simulated_clock(races: Races) -> None:
    """Two clients hold one connection each and want a second. They wait half an hour of simulated time."""
    engine = races.engine(pool_size=2, max_overflow=0, pool_timeout=1800)
    simulation = races.simulation(engine)

    found = {}
    for seed in range(10):
        before = simulation.clock.now()
        result = races.run(simulation, [nested(engine)] * 2, Uniform(seed))
        waited = simulation.clock.now() - before
        found[bool(result.errors)] = waited
        assert all(isinstance(error, PoolTimeoutError) for error in result.errors.values())
    assert {True: timedelta(seconds=1800), False: timedelta()} == found


def test_who_waits_for_a_pool_that_a_client_disposed_of_waits_in_the_schedule(races: Races) -> None:
    engine = races.engine(pool_size=1, max_overflow=0)
    simulation = races.simulation(engine)

    def disposing() -> None:
        engine.dispose()
        deposit(engine, 1)()

    result = races.run(simulation, [disposing, deposit(engine, 1)], Schedule.parse("ada*3 bob*2 ada"))
    assert {} == result.errors
    assert 2 == races.balances()[0]


@pytest.mark.parametrize("soft", [False, True])
def test_a_run_after_one_that_invalidated_connections_begins_like_any_other(races: Races, soft: bool) -> None:
    """The pool keeps their records, and would reopen them in the middle of the next run."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def client() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            connection.connection.invalidate(soft=soft)

    first, second = (races.run(simulation, [client] * 2, Uniform(1)).trace.lines for _twice in range(2))
    assert first == second


def test_a_sleep_passes_when_the_schedule_says_so_and_moves_the_clock(races: Races) -> None:
    engine = races.engine()
    clock = SimulatedClock()
    simulation = races.simulation(engine, clock=clock)
    seen = []

    def sleeper(hours: int) -> None:
        clock.sleep(timedelta(hours=hours))
        seen.append((hours, clock.now() - START))

    simulation.spawn("ada", sleeper, 2)
    simulation.spawn("bob", sleeper, 1)
    simulation.spawn("cyd", deposit(engine, 1))
    result = simulation.run(Schedule.parse("ada bob cyd*2 bob ada cyd*4"))
    assert [(1, timedelta(hours=1)), (2, timedelta(hours=2))] == seen
    assert {} == result.errors
    assert ["bob", "ada"] == [step.client for step in result.steps if step.what.startswith("sleeps")]


def test_who_is_no_client_sleeps_at_once() -> None:
    clock = SimulatedClock()
    clock.sleep(timedelta(hours=1))
    asyncio.run(clock.sleep_async(timedelta(hours=1)))
    assert timedelta(hours=2) == clock.now() - START
    with pytest.raises(ValueError, match="Time does not go back"):
        clock.sleep(timedelta(-1))


def test_coroutines_are_clients_with_the_same_guarantees(races: Races) -> None:
    """Locks, deadlocks, sleeps, and a pool of two connections for three clients."""
    engine = create_async_engine(races.server.url, pool_size=2, max_overflow=0)

    async def client(clock: SimulatedClock, *accounts: int) -> None:
        async with engine.begin() as connection:
            for account in accounts:
                query = text("SELECT balance FROM accounts WHERE id = :id FOR UPDATE")
                found = (await connection.execute(query, {"id": account})).scalar_one()
                update = text("UPDATE accounts SET balance = :balance WHERE id = :id")
                await connection.execute(update, {"id": account, "balance": found + 1})
                await clock.sleep_async(timedelta(seconds=1))

    runs = []
    for seed in [*range(12), *range(12)]:
        races.observer.execute("UPDATE accounts SET balance = 0")
        simulation = races.simulation(engine)
        for name, accounts in {"ada": (1, 2), "bob": (2, 1), "cyd": (1, 2)}.items():
            simulation.spawn(name, client, simulation.clock, *accounts)
        result = simulation.run(Uniform(seed))
        simulation.close()
        assert 3 - len(result.errors) == races.balances()[0]
        runs.append((result.trace.hexdigest(), tuple(races.balances()), len(result.errors)))
    assert runs[:12] == runs[12:]
    assert {0, 1} <= {errors for _hash, _balances, errors in runs}


def test_what_waits_for_nobody_and_does_not_end_is_inconclusive(races: Races) -> None:
    """The error has each client's stack and the state of its server process. No client is left running."""
    engine = races.engine()
    simulation = races.simulation(engine, stall_seconds=0.5)
    released = asyncio.Event()

    def stuck() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE accounts SET balance = 7 WHERE id = 1"))
            connection.execute(text("SELECT pg_sleep(60)"))
        released.set()

    with pytest.raises(InconclusiveError) as found:
        races.run(simulation, [stuck, deposit(engine, 1)], Schedule.parse("ada*2 bob*2 ada"))
    told = str(found.value)
    assert told.startswith("For 0.5 s ada has neither sent anything nor waited for a lock, so this run says nothing.")
    assert "in stuck" in told
    assert "its server process is active, waiting for Timeout: PgSleep, query: SELECT pg_sleep(60)" in told
    assert "- bob waits for ada; its server process is active, waiting for Lock" in told
    assert "schedule: ada*2 bob*2 ada" in told
    assert not released.is_set()
    partial = simulation.last
    assert partial is not None
    assert partial is found.value.result
    assert "ada*2 bob*2 ada" == str(partial.schedule)
    assert any("waits for ada" == step.answer for step in partial.steps)
    assert {} == races.run(simulation, [deposit(engine, 1)] * 2, Uniform(0)).errors
    assert 2 == races.balances()[0]


def test_a_fault_may_take_as_long_as_the_run(races: Races, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it takes seconds to open and close all free connections."""
    engine = races.engine()
    simulation = races.simulation(engine, stall_seconds=0.2)
    gone = ServerProcesses.wait_until_gone

    def wait_until_gone(processes: ServerProcesses, backend: int, deadline_seconds: float) -> bool:
        time.sleep(0.01)
        return gone(processes, backend, deadline_seconds)

    def connect_anew() -> None:
        engine.dispose()
        with pytest.raises(OperationalError, match="too many clients"):
            engine.connect()

    monkeypatch.setattr(ServerProcesses, "wait_until_gone", wait_until_gone)
    began = time.monotonic()
    result = races.run(simulation, [connect_anew], Schedule.parse("ada*2 ada!too-many"))
    assert {} == result.errors
    assert time.monotonic() - began > 0.2


def test_a_lock_of_python_that_two_clients_share_is_inconclusive(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, stall_seconds=0.5)
    lock = threading.Lock()

    def client() -> None:
        with lock, engine.begin() as connection:
            connection.execute(text("SELECT 1"))

    with pytest.raises(InconclusiveError, match=r"bob has the turn, in\n(.*\n)*.*with lock") as found:
        races.run(simulation, [client, client], Schedule.parse("ada bob"))
    assert "- ada is at: SELECT 1" in str(found.value)


def test_a_lock_that_a_client_left_held_is_inconclusive(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    left = []

    def leave() -> None:
        left.append(engine.connect())
        left[0].execute(text("UPDATE accounts SET balance = 7 WHERE id = 1"))

    with pytest.raises(InconclusiveError, match=r"No client can go on(.*\n)*- bob waits for ada"):
        races.run(simulation, [leave, deposit(engine, 1)], Schedule.parse("ada*2 bob"))
    left[0].invalidate()


def test_the_whole_run_has_a_deadline(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine, deadline_seconds=0.3)

    def endless() -> None:
        while True:
            with engine.begin() as connection:
                connection.execute(text("SELECT 1"))

    with pytest.raises(InconclusiveError, match=r"The run has not ended within 0\.3 s"):
        races.run(simulation, [endless, endless], Uniform(0))


def test_two_places_of_one_client_at_once_are_refused(races: Races) -> None:
    engine = create_async_engine(races.server.url)
    simulation = races.simulation(engine)

    async def one() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def both() -> None:
        await asyncio.gather(one(), one())

    for seed in range(4):
        simulation.spawn("ada", both)
        simulation.spawn("bob", one)
        with pytest.raises(InconclusiveError, match="The client ada is at two places at once"):
            simulation.run(Uniform(seed))


def test_a_client_that_is_cancelled_where_it_waits_for_its_turn_is_refused(races: Races) -> None:
    """It would go on while another client runs."""
    engine, other = create_async_engine(races.server.url), races.engine()
    simulation = races.simulation(engine, other)

    async def impatient() -> None:
        async with asyncio.timeout(0.1), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    simulation.spawn("ada", impatient)
    simulation.spawn("bob", deposit(other, 1))
    simulation.spawn("cyd", time.sleep, 0.3)
    with pytest.raises(InconclusiveError, match="The client ada cancelled a statement out of its turn"):
        simulation.run(Schedule.parse("ada bob cyd"))


def test_a_thread_of_a_client_that_is_none_is_refused(races: Races) -> None:
    """Its statements would be no steps of the run."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def ada() -> None:
        with ThreadPoolExecutor() as executor:
            executor.submit(deposit(engine, 1)).result()

    with pytest.raises(InconclusiveError, match=r"The thread ThreadPoolExecutor-\S+ is no client"):
        races.run(simulation, [ada, deposit(engine, 1)], Uniform(0))
    assert 0 == races.balances()[0]


def test_a_run_in_a_run_is_refused(races: Races) -> None:
    simulation = races.simulation(races.engine())
    simulation.spawn("ada", simulation.run, Uniform(0))
    with pytest.raises(ConfigurationError, match="in the middle of a run"):
        simulation.run(Uniform(0)).value("ada")
