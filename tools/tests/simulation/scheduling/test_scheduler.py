"""The scheduler on a real Postgres: the order of clients, lock grants and deadlock victims."""

import gc
import threading
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from pgdst.errors import ConfigurationError, ForeignServerError, ScheduleError
from pgdst.server.address import Server
from pgdst.simulation.clients import client as client_module
from pgdst.simulation.clients import ids as randomness
from pgdst.simulation.clients.client import Outcome
from pgdst.simulation.report.interleaving import interleaving
from pgdst.simulation.result import Result
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from races import Races, deposit
from sqlalchemy import Engine, StaticPool, create_engine, text

SEEDS = range(20)


def test_the_seed_alone_decides_who_gets_the_lock(races: Races) -> None:
    """Three clients lock two rows in different orders, with lock waits and deadlocks; each seed runs twice."""
    engine = races.engine()
    simulation = races.simulation(engine)
    clients = [deposit(engine, 1, 2), deposit(engine, 2, 1), deposit(engine, 1, 2)]
    runs = [(races.run(simulation, clients, Uniform(seed)), races.balances()) for _twice in range(2) for seed in SEEDS]
    hashes = [(result.trace.hexdigest(), *found) for result, found in runs]
    assert hashes[: len(SEEDS)] == hashes[len(SEEDS) :]
    assert len(SEEDS) // 2 < len(set(hashes))
    waits = [step for result, _found in runs for step in result.steps if step.answer.startswith("waits for")]
    deadlocks = [error for result, _found in runs for error in result.errors.values()]
    assert waits
    assert deadlocks
    assert {"raised OperationalError 40P01"} == {str(Outcome(error=error)) for error in deadlocks}


def test_a_lost_update_is_found_and_its_schedule_can_be_written_down(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    clients = [deposit(engine, 1, locking=False), deposit(engine, 1, locking=False)]
    lost = next(
        result
        for result in (races.run(simulation, clients, Uniform(seed)) for seed in SEEDS)
        if races.balances()[0] == 1
    )
    again = races.run(simulation, clients, Schedule.parse(str(lost.schedule)))
    assert lost.trace.lines == again.trace.lines
    assert 1 == races.balances()[0]


def test_all_schedules_are_tried_and_those_with_a_lock_lose_nothing(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    found = {}
    for locking in (True, False):
        clients = [deposit(engine, 1, locking=locking)] * 2
        search = Exhaustive(preemptions=1)
        results = [(races.run(simulation, clients, strategy), races.balances()[0]) for strategy in search]
        assert search.is_exhausted
        assert 1 >= max(result.preemptions for result, _balance in results)
        assert len(results) == len({str(result.schedule) for result, _balance in results})
        found[locking] = {balance for _result, balance in results}
    assert {True: {2}, False: {1, 2}} == found


def test_no_client_runs_while_another_does(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    running: set[str] = set()
    together: list[set[str]] = []

    def client(name: str) -> None:
        for _ in range(5):
            with engine.begin() as connection:
                running.discard(name)
                connection.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = 1"))
                running.add(name)
                together.append(set(running))
                for _spin in range(1000):
                    pass
                running.discard(name)

    for name in ("ada", "bob", "cyd"):
        simulation.spawn(name, client, name)
    simulation.run(Uniform(1))
    assert {1} == {len(one) for one in together}
    assert 15 == len(together)


def test_a_waiter_that_has_its_lock_goes_on_when_the_schedule_says_so(races: Races) -> None:
    """Bob's lock is free after step 5, but the schedule lets ada begin another transaction before him."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def ada() -> None:
        deposit(engine, 1)()
        deposit(engine, 2)()

    schedule = Schedule.parse("ada*2 bob*2 ada*5 bob*3")
    result = races.run(simulation, [ada, deposit(engine, 1)], schedule)
    goes_on = next(step for step in result.steps if step.answer == "goes on")
    assert [2, 1, 0, 0, 0] == races.balances()
    assert ("bob", 10) == (goes_on.client, goes_on.number)


def test_a_waiter_whose_lock_is_free_does_nothing_before_it_goes_on(races: Races) -> None:
    """Bob's statement draws from a sequence as soon as it has the lock, so a step of it would be visible."""
    races.observer.execute("CREATE SEQUENCE IF NOT EXISTS drawn; ALTER SEQUENCE drawn RESTART")
    engine = races.engine()
    simulation = races.simulation(engine)

    def ada() -> bool:
        deposit(engine, 1)()
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_sleep(0.1)"))
            return bool(connection.execute(text("SELECT is_called FROM drawn")).scalar_one())

    def bob() -> None:
        with engine.begin() as connection:
            connection.execute(
                text("SELECT nextval('drawn') FROM (SELECT FROM accounts WHERE id = 1 FOR UPDATE) AS locked")
            )

    result = races.run(simulation, [ada, bob], Schedule.parse("ada*2 bob*2 ada*5"))
    assert result.value("ada") is False
    assert races.value("SELECT is_called FROM drawn") is True


def test_what_clients_return_and_raise_is_their_outcome(races: Races) -> None:
    simulation = races.simulation(races.engine())
    simulation.spawn("ada", lambda number: number + 1, 41)
    simulation.spawn("bob", lambda: 1 / 0)
    result = simulation.run(Uniform(0))
    assert 42 == result.value("ada")
    assert ["bob"] == list(result.errors)
    with pytest.raises(ZeroDivisionError):
        result.value("bob")


def test_who_is_no_client_goes_on_as_ever(races: Races) -> None:
    engine = races.engine()
    races.simulation(engine)
    thread = threading.Thread(target=deposit(engine, 3))
    thread.start()
    thread.join()
    deposit(engine, 3)()
    assert 2 == races.balances()[2]


def test_a_detached_engine_has_connections_of_its_own_again(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    simulation.close()
    assert leads_to(races.server) == place_of(engine)


def leads_to(server: Server) -> tuple[str, int]:
    return server.host, server.port


def place_of(engine: Engine) -> tuple[str, int]:
    """Return the host and port of the engine's connections."""
    with engine.connect() as connection:
        found: Any = connection.connection.driver_connection
        return found.info.host, found.info.port


def test_the_picture_has_a_column_a_client_and_says_who_waits_for_whom(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    result = races.run(simulation, [deposit(engine, 1)] * 2, Schedule.parse("ada*2 bob*2 ada*2 bob*3"))
    picture = interleaving(result, width=100).splitlines()
    assert picture[0].split() == ["step", "ada", "bob"]
    waits = next(line for line in picture if "waits for ada" in line)
    assert waits.split()[0] == "4"
    assert waits.index("SELECT") == picture[0].index("bob")
    assert f"schedule: {result.schedule}" == picture[-1]
    assert ["3!"] == [line.split()[0] for line in picture if "!" in line]
    assert 1 == result.preemptions


def test_a_client_that_closes_its_connection_has_released_its_locks_when_another_comes(races: Races) -> None:
    """The next step waits until the server process of the closed connection has ended."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def leave() -> None:
        connection = engine.connect()
        connection.execute(text("SELECT FROM accounts WHERE id = 1 FOR UPDATE"))
        connection.invalidate()

    for seed in SEEDS:
        result = races.run(simulation, [leave, deposit(engine, 1)], Uniform(seed))
        assert {} == result.errors
        assert 1 == races.balances()[0]


def test_an_engine_of_another_server_or_driver_is_refused(races: Races, shop_server: Server) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite\+pysqlite, which has no gate"):
        races.simulation(create_engine("sqlite://"))
    foreign = create_engine(shop_server.url)
    with pytest.raises(ForeignServerError, match="and the run's server is at"):
        races.simulation(foreign)
    assert leads_to(shop_server) == place_of(foreign)
    foreign.dispose()


def test_what_is_no_engine_with_a_pool_of_its_own_connections_is_refused(races: Races) -> None:
    """Else clients would bypass the gate, or share one connection."""
    url = races.server.url
    with pytest.raises(ConfigurationError, match="got str"):
        races.simulation(url)
    with pytest.raises(ConfigurationError, match="pool is a StaticPool"):
        races.simulation(races.engine(poolclass=StaticPool))
    with pytest.raises(ConfigurationError, match="by a `creator`"):
        races.simulation(races.engine(creator=lambda: psycopg.connect(url.replace("+psycopg", ""))))


def test_an_engine_with_options_of_its_own_is_attached_with_its_pool(races: Races) -> None:
    engine = races.engine(pool_size=1, max_overflow=0)
    serializable = engine.execution_options(isolation_level="SERIALIZABLE")
    simulation = races.simulation(serializable)
    for seed in range(4):
        assert {} == races.run(simulation, [deposit(serializable, 1)] * 2, Uniform(seed)).errors


def test_names_that_cannot_stand_in_a_schedule_are_refused(races: Races) -> None:
    simulation = races.simulation()
    simulation.spawn("ada", int)
    for name in ("ada", "", "ada lovelace", "ada*2", "1st"):
        with pytest.raises(ConfigurationError, match="cannot be called"):
            simulation.spawn(name, int)


@pytest.mark.parametrize("text_of_it", ["ada*0", "ada*", "ada bob!", "*3", "ada**2"])
def test_text_that_is_no_schedule_is_refused(text_of_it: str) -> None:
    with pytest.raises(ScheduleError, match="is no part of a schedule"):
        Schedule.parse(text_of_it)


def test_a_schedule_that_does_not_fit_says_where_and_ends_the_run(races: Races) -> None:
    """The schedule lets bob go on while he waits for ada's row. No client is left running."""
    engine = races.engine()
    simulation = races.simulation(engine)
    clients = [deposit(engine, 1)] * 3
    with pytest.raises(ScheduleError, match="Step 5 of the schedule is bob's, but only these can go on: cyd, ada"):
        races.run(simulation, clients, Schedule.parse("ada*2 bob*2 bob"))
    assert {} == races.run(simulation, clients, Uniform(0)).errors


@pytest.mark.parametrize("wrong", ["ada*2", "ada zoe", "ada ada!clock"])
def test_a_schedule_that_names_somebody_else_where_one_client_alone_can_go_on_does_not_fit(
    races: Races, wrong: str
) -> None:
    """Ada has ended after her first step. A later fault of hers in the schedule must not hit bob."""
    engine = races.engine()
    simulation = races.simulation(engine)
    with pytest.raises(ScheduleError, match=r"Step 2 of the schedule is (ada|zoe)'s, but only these can go on: bob\."):
        races.run(simulation, [int, deposit(engine, 1)], Schedule.parse(wrong))


def test_what_a_strategy_raises_ends_the_run(races: Races) -> None:
    class Impatient:
        def choose(self, _point: object) -> int:
            raise KeyboardInterrupt

    engine = races.engine()
    simulation = races.simulation(engine)
    with pytest.raises(KeyboardInterrupt):
        races.run(simulation, [deposit(engine, 1)] * 2, Impatient())
    names = {one.name for one in threading.enumerate() if one.name.startswith("pgdst-")}
    assert {"pgdst-gate"} == names  # it relays until the simulation is closed
    assert isinstance(races.run(simulation, [deposit(engine, 1)] * 2, Uniform(0)), Result)


def test_no_garbage_is_collected_by_a_client(races: Races, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collected connection would be closed in the client's name. This holds from the start of its thread."""
    is_on: list[bool] = []

    def acting_as(name: str) -> AbstractContextManager[None]:
        is_on.append(gc.isenabled())
        return randomness.acting_as(name)

    monkeypatch.setattr(client_module, "acting_as", acting_as)
    for seed in range(5):
        races.run(races.simulation(), [str] * 5, Uniform(seed))
    assert [False] * 25 == is_on
    assert gc.isenabled()


def test_a_connection_that_is_garbage_is_closed_when_somebody_relays(races: Races) -> None:
    """Closing it sends a message to the server, in the thread that runs the simulation, and waits for the answer."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def forget() -> None:
        connection = engine.connect()
        connection.execute(text("SELECT 1"))
        circle: list[Any] = [connection]
        circle.append(circle)

    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for seed in range(3):
            assert {} == races.run(simulation, [forget, forget], Uniform(seed)).errors
    finally:
        gc.set_threshold(*before)
