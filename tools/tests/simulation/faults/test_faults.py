"""Faults at exact steps of a real server: the same each time, without effect on later runs."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import repeat
from typing import Any

import pytest
from pgdst.database.databases import Databases
from pgdst.errors import InconclusiveError, ScheduleError
from pgdst.server.address import Server
from pgdst.simulation.clients.clock import START
from pgdst.simulation.faults.kinds import ALL, FREEZE, JUMP, RAISED, Fault
from pgdst.simulation.faults.plan import DrawnFaults, Faults, random_faults
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.report.interleaving import interleaving
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import Strategy
from pgdst.simulation.strategies.uniform import Uniform
from races import Races, deposit, nested
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

# Faults at the first client's UPDATE: its outcome, and the balance afterwards.
IN_A_TRANSACTION = {
    Fault.LOST: ("raised OperationalError", 0),
    Fault.TERMINATED: ("raised OperationalError 57P01", 0),
    Fault.CANCELLED: ("raised OperationalError 57014", 0),
    Fault.SERIALIZATION: ("raised OperationalError 40001", 0),
    Fault.DEADLOCK: ("raised OperationalError 40P01", 0),
    Fault.DISK_FULL: ("raised OperationalError 53100", 0),
    Fault.CRASH: ("raised OperationalError", 0),
    Fault.FROZEN: ("returned", 1),
    Fault.CLOCK: ("returned", 1),
    Fault.CLOCK_BACK: ("returned", 1),
}
AT_COMMIT = {
    Fault.COMMIT_UNDONE: ("raised OperationalError", 0),
    Fault.COMMIT_DONE: ("raised OperationalError", 1),
    Fault.TERMINATED: ("raised OperationalError 57P01", 0),
    Fault.SERIALIZATION: ("raised OperationalError 40001", 0),
    Fault.CRASH: ("raised OperationalError", 0),
}


def struck(races: Races, schedule: str) -> Result:
    """Run one or two depositing clients under a schedule with faults, and check that a later deposit works."""
    engine = races.engine()
    simulation = races.simulation(engine)
    result = races.run(simulation, [deposit(engine, 1)] * (1 + ("bob" in schedule)), Schedule.parse(schedule))
    found = balance(races)
    assert {} == races.run(simulation, [deposit(engine, 1)] * 2, Uniform(0)).errors
    races.observe_anew()
    races.observer.execute("UPDATE accounts SET balance = %s WHERE id = 1", (found,))
    simulation.close()
    return result


def balance(races: Races) -> int:
    """Return the first account's balance, by a new connection, as a crash has ended the others."""
    races.observe_anew()
    return races.balances()[0]


@pytest.mark.parametrize("fault", IN_A_TRANSACTION)
def test_in_a_transaction_a_fault_leaves_nothing_half_done(races: Races, fault: Fault) -> None:
    result = struck(races, f"ada*2 ada!{fault}")
    assert IN_A_TRANSACTION[fault] == (str(result.outcomes["ada"]), balance(races))
    assert {3: fault} == result.schedule.faults


@pytest.mark.parametrize("fault", AT_COMMIT)
def test_at_commit_the_client_can_not_always_know(races: Races, fault: Fault) -> None:
    """Two faults look alike to the client, and one of them has committed."""
    result = struck(races, f"ada*3 ada!{fault}")
    assert AT_COMMIT[fault] == (str(result.outcomes["ada"]), balance(races))


@pytest.mark.parametrize(("fault", "state"), [(Fault.TERMINATED, "57P01"), (Fault.CANCELLED, "57014")])
def test_who_waits_for_a_lock_is_struck_there(races: Races, fault: Fault, state: str) -> None:
    """Ada, who holds the row in an open transaction, is not affected."""
    engine = races.engine()
    simulation = races.simulation(engine)
    # After ada's commit bob has the lock and can go on, but the fault ends his statement first.
    schedule = Schedule.parse(f"ada*2 bob*2 ada*2 bob!{fault}")
    result = races.run(simulation, [deposit(engine, 1)] * 2, schedule)
    assert "returned" == str(result.outcomes["ada"])
    assert f"raised OperationalError {state}" == str(result.outcomes["bob"])
    assert 1 == races.balances()[0]


def test_a_crash_ends_everybodys_transaction(races: Races) -> None:
    """Bob waits for ada's row when the server crashes. Afterwards both can begin new transactions."""
    result = struck(races, "ada*2 bob*2 ada!crash")
    assert {"raised OperationalError"} == {str(one) for one in result.outcomes.values()}
    assert 0 == balance(races)


def test_what_was_committed_before_a_crash_is_there(races: Races) -> None:
    result = struck(races, "ada*4 bob*2 bob!crash")
    assert "returned" == str(result.outcomes["ada"])
    assert 1 == balance(races)


@pytest.mark.parametrize("fault", [Fault.COMMIT_DONE, Fault.COMMIT_UNDONE, Fault.LOST, *RAISED])
def test_who_has_not_noticed_a_crash_can_be_struck_again(races: Races, fault: Fault) -> None:
    """Ada's session has ended in the crash already when her own connection breaks."""
    engine = races.engine()
    simulation = races.simulation(engine)
    at_commit = fault in (Fault.COMMIT_DONE, Fault.COMMIT_UNDONE)
    schedule = Schedule.parse(f"ada*{3 if at_commit else 2} bob*2 bob!crash ada!{fault}")
    result = races.run(simulation, [deposit(engine, 1), deposit(engine, 2)], schedule)
    assert {"raised OperationalError"} == {str(one) for one in result.outcomes.values()}
    assert 0 == balance(races)


def test_the_observer_is_not_the_one_that_is_killed(
    races: Races, processes: ServerProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if the client's own process has ended: the end of the observer shows that the server has noticed.

    A killed process's own connection ends before the postmaster notices, and a connection opened in between breaks.
    """
    signals, killed = processes._signals, []

    def kill(pid: int) -> None:
        killed.append(pid)
        signals_kill(pid)

    signals_kill = signals.kill
    monkeypatch.setattr(signals, "kill", kill)
    observer = processes._observer.info.backend_pid
    gone = 2**22 + 1  # beyond the greatest id of a process
    processes.crash(gone, [])
    races.observe_anew()
    assert len(killed) == 1
    assert killed[0] not in (gone, observer)


def test_a_crash_loses_nothing_of_what_was_written_and_not_committed(races: Races) -> None:
    """A sequence logs 32 values ahead: after a crash it is at the end of these, not where it was before.

    Otherwise its value would depend on how much of the log the server had flushed by itself.
    """
    races.observer.execute("DROP SEQUENCE IF EXISTS numbers; CREATE SEQUENCE numbers")
    engine = races.engine()
    simulation = races.simulation(engine)

    def draw() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT nextval('numbers')"))
            connection.execute(text("SELECT 1"))

    assert ["ada"] == list(races.run(simulation, [draw], Schedule.parse("ada*2 ada!crash")).errors)
    races.observe_anew()
    assert 34 == races.value("SELECT nextval('numbers')")


def test_nothing_is_raised_in_a_transaction_that_has_failed(races: Races) -> None:
    """There Postgres refuses every statement except ROLLBACK and its kinds, which can't fail."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def go_back() -> int:
        with engine.begin() as connection:
            savepoint = connection.begin_nested()
            with pytest.raises(DBAPIError):
                connection.execute(text("SELECT 1 / 0"))
            savepoint.rollback()
            return int(connection.execute(text("SELECT 1")).scalar_one())

    struck: Counter[str] = Counter()
    for seed in range(60):
        result = races.run(simulation, [go_back], Uniform(seed), random_faults(seed, [*RAISED, Fault.FROZEN]))
        struck.update(step.what for step in result.steps if step.answer in RAISED.values())
        assert "25P02" not in {step.answer for step in result.steps}, interleaving(result, width=120)
    assert struck.keys() == {"SAVEPOINT sa_savepoint_1", "SELECT 1 / 0", "SELECT 1", "COMMIT"}
    with pytest.raises(ScheduleError):
        races.run(simulation, [go_back], Schedule.parse("ada*3 ada!deadlock ada"))


def test_no_connection_is_left_for_who_wants_one(races: Races) -> None:
    """The first connection is the pool's, and the second would be new."""
    engine = races.engine(pool_size=1, max_overflow=1)
    simulation = races.simulation(engine)

    result = races.run(simulation, [nested(engine)], Schedule.parse("ada*2 ada!too-many"))
    assert "raised OperationalError" == str(result.outcomes["ada"])
    assert "too many clients" in str(result.outcomes["ada"].error)
    assert {} == races.run(simulation, [nested(engine)], Uniform(0)).errors


def test_time_passes_by_the_simulated_clock(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    races.run(simulation, [deposit(engine, 1)], Schedule.parse("ada!clock ada ada!frozen"))
    assert START + JUMP + FREEZE == simulation.clock.now()


def test_the_wall_clock_is_set_back_and_no_time_passes(races: Races) -> None:
    """Before its first step, and before its last."""
    engine = races.engine()
    simulation = races.simulation(engine)
    schedule = Schedule.parse("ada!clock-back ada*2 ada!clock-back")
    result = races.run(simulation, [deposit(engine, 1)], schedule)
    assert ["fault -> clock-back"] * 2 == [step.in_words for step in result.steps if step.what == "fault"]
    assert (START - 2 * JUMP, timedelta()) == (simulation.clock.now(), simulation.clock.elapsed())


def test_whoever_waits_by_the_clock_waits_no_longer_when_it_is_set_back(races: Races) -> None:
    """A sleep and a time-out of the pool both use the elapsed time, so both end, in that order."""
    engine = races.engine(pool_size=1, max_overflow=0, pool_timeout=30)
    simulation = races.simulation(engine)
    clock = simulation.clock
    found: dict[str, tuple[timedelta, timedelta]] = {}

    def noting(name: str, action: Callable[[], object]) -> Callable[[], None]:
        def client() -> None:
            began_at, before = clock.now(), clock.elapsed()
            try:
                action()
            finally:
                found[name] = clock.now() - began_at, clock.elapsed() - before

        return client

    clients = [
        noting("ada", nested(engine)),
        noting("bob", lambda: clock.sleep(timedelta(seconds=20))),
        lambda: None,
    ]
    result = races.run(simulation, clients, Schedule.parse("ada*4 bob cyd!clock-back"))
    assert ["raised TimeoutError", "returned", "returned"] == [str(one) for one in result.outcomes.values()]
    twenty, thirty = timedelta(seconds=20), timedelta(seconds=30)
    assert {"bob": (twenty - JUMP, twenty), "ada": (thirty - JUMP, thirty)} == found


@pytest.mark.parametrize("isolation_level", ["READ COMMITTED", "SERIALIZABLE", "AUTOCOMMIT"])
def test_the_disk_is_full_for_one_statement(races: Races, isolation_level: str) -> None:
    """The server's own write gets ENOSPC, for that statement only, at each isolation level and for each role."""
    engine = races.engine(isolation_level=isolation_level)
    simulation = races.simulation(engine)
    found: list[Any] = []

    def client() -> None:
        with engine.connect() as connection:
            connection.execute(text("SET ROLE pg_monitor"))
            with pytest.raises(OperationalError) as raised:
                connection.execute(text("SELECT 1"))
            found.append(raised.value.orig)
            connection.rollback()
            assert 2 == connection.execute(text("SELECT 2")).scalar_one()
            connection.execute(text("RESET ROLE"))

    for _twice in repeat(None, 2):
        result = races.run(simulation, [client], Schedule.parse("ada*2 ada!disk-full"))
        assert {} == result.errors
    assert ["53100"] * 2 == [error.sqlstate for error in found]
    assert ["could not write to COPY file: No space left on device"] * 2 == [
        error.diag.message_primary for error in found
    ]


def test_who_may_write_no_file_is_told_that_the_run_says_nothing(races: Races) -> None:
    """An error other than the fault's makes the run inconclusive."""
    races.observer.execute("DROP ROLE IF EXISTS teller; CREATE ROLE teller LOGIN PASSWORD 'secret'")
    engine = create_engine(replace(races.server, user="teller", password="secret").url)
    races.opened.callback(engine.dispose)
    simulation = races.simulation(engine)

    def client() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    try:
        with pytest.raises(InconclusiveError, match="disk-full should raise SQLSTATE 53100; the server replied: "):
            races.run(simulation, [client], Schedule.parse("ada ada!disk-full"))
    finally:
        simulation.close()
        races.observer.execute("DROP ROLE teller")


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(ALL, id="all"),
        pytest.param((Fault.DISK_FULL, Fault.CLOCK_BACK), id="two", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("inside_statements", [False, True])
def test_the_seed_alone_decides_what_strikes_whom(
    races: Races, inside_statements: bool, kinds: tuple[Fault, ...]
) -> None:
    """Crashes and recoveries included. The written schedule gives the same run."""
    engine = races.engine()
    simulation = races.simulation(engine, inside_statements=inside_statements)
    clients = [deposit(engine, 1, 2), deposit(engine, 2, 1), deposit(engine, 1, 2)]
    runs: dict[int, Result] = {}
    struck_by: Counter[Fault] = Counter()
    for seed in [*range(14), *range(14)]:
        found = run_anew(races, simulation, clients, Uniform(seed), random_faults(seed, kinds))
        struck_by.update(found.schedule.faults.values())
        if seed in runs:
            assert runs[seed].trace.first_difference(found.trace) is None, both(runs[seed], found)
        runs[seed] = found
    assert len(struck_by) >= min(6, len(kinds)), struck_by
    written = Schedule.parse(str(runs[3].schedule))
    again = run_anew(races, simulation, clients, written)
    assert str(written) == str(runs[3].schedule)
    assert runs[3].trace.hexdigest() == again.trace.hexdigest()


def both(one: Result, other: Result) -> str:
    """Return the interleavings of two runs, one below the other."""
    return f"\n{interleaving(one)}\n\n{interleaving(other)}"


def run_anew(
    races: Races,
    simulation: Simulation,
    clients: list[Callable[[], None]],
    strategy: Strategy,
    faults: Faults | None = None,
) -> Result:
    """Run the clients on empty accounts, on a server that the run before may have crashed."""
    races.observe_anew()
    return races.run(simulation, clients, strategy, faults)


def test_all_kinds_strike_and_zeros_are_calm() -> None:
    """Draws of zero mean no fault at all."""
    assert [None] * 9 == [DrawnFaults(lambda _greatest: 0).inject(step, ALL) for step in range(9)]
    found = {random_faults(seed).inject(step, ALL) for seed in range(300) for step in range(3)}
    many = {faults.inject(step, ALL) for faults in map(random_faults, range(300)) for step in range(30)}
    assert {*ALL, None} == found | many
    assert {None} == {random_faults(seed, ()).inject(step, ALL) for seed in range(9) for step in range(9)}


def test_some_runs_are_calm_some_have_one_fault_some_a_storm() -> None:
    counts = Counter(
        sum(faults.inject(step, ALL) is not None for step in range(200)) for faults in map(random_faults, range(400))
    )
    assert min(counts[0], counts[1], counts[3]) > 50
    assert max(counts) > 10


def test_a_fault_that_cannot_strike_there_is_refused(races: Races) -> None:
    engine = races.engine()
    simulation = races.simulation(engine)
    with pytest.raises(ScheduleError, match="schedule has commit-done, but only these are possible: lost"):
        races.run(simulation, [deposit(engine, 1)], Schedule.parse("ada*2 ada!commit-done"))
    with pytest.raises(ScheduleError, match=r"The faults are lost, commit-undone, .*clock-back\."):
        Schedule.parse("ada!earthquake")


def test_a_fault_where_none_can_strike_is_refused(races: Races) -> None:
    """No fault is possible at a ROLLBACK."""
    engine = races.engine()
    simulation = races.simulation(engine)

    def leave() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    with pytest.raises(ScheduleError, match=r"Step 3 of the schedule has lost, but only these are possible: none\."):
        races.run(simulation, [leave], Schedule.parse("ada*2 ada!lost"))


def test_databases_are_lent_on_after_a_crash(race_server: Server, races: Races) -> None:
    """The crash ends the kit's own sessions too; the next database has the template's contents."""
    races.observer.execute("UPDATE accounts SET balance = 5 WHERE id = 2")
    races.observer.close()
    databases = Databases(race_server)
    for _twice in repeat(None, 2):
        with databases.lend() as url:
            engine = create_engine(url)
            simulation = races.simulation(engine)
            simulation.spawn("ada", deposit(engine, 2))
            result = simulation.run(Schedule.parse("ada*3 ada!crash"))
            assert ["ada"] == list(result.errors)
            simulation.spawn("ada", deposit(engine, 2))
            assert {} == simulation.run(Uniform(0)).errors
            with engine.connect() as connection:
                assert 6 == connection.execute(text("SELECT balance FROM accounts WHERE id = 2")).scalar_one()
            simulation.close()
            engine.dispose()
    databases.close()
    races.observer = race_server.connect()
