"""explore: what it finds, how small, and what it says where there is nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from deposits import SCHEMA as SCHEMA
from deposits import TWO, deposit, deposit_async, deposit_rightly, failure_of, in_one, is_two
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.explore import search
from pgdst.simulation.explore.explore import Explored, explore
from pgdst.simulation.faults.kinds import Fault
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine


def test_a_lost_update_is_found_with_one_preemption_and_replayed(engine: Engine) -> None:
    """The report has the lanes, the schedule, and that ten of ten replays fail alike."""
    found = failure_of(engine, clients=TWO, check=is_two)
    assert 1 == found.result.preemptions
    assert "ada*2 bob*4 ada*2" == str(found.schedule)
    told = str(found)
    happened = (
        "ada read accounts at step 2 (balance=0), bob changed it and committed at step 6, and ada wrote it at step 7."
    )
    assert told.startswith(f"The check does not hold.\n{happened}\n\n step  ada")
    assert "schedule: ada*2 bob*4 ada*2" in told
    assert told.endswith("found after 3 runs, replayed 10 of 10")  # both orders, and the first that matters


def test_without_a_check_the_outcome_must_be_that_of_a_serial_order(engine: Engine) -> None:
    """The failure says which outcome this one was, and which serial orders have."""
    found = failure_of(engine, clients=TWO)
    first, rest = found.wrong.split("Serial orders give:")
    assert 'accounts {"id": 1, "balance": 1}' in first
    assert 'accounts {"id": 1, "balance": 2}' in rest


@pytest.mark.parametrize("check", [is_two, None])
def test_the_right_twin_is_not_reported(engine: Engine, check: Callable[[Connection], object] | None) -> None:
    """And all schedules were tried."""
    found = explore(engine, clients={"ada": deposit_rightly, "bob": deposit_rightly}, check=check)
    assert found.is_exhausted
    assert "all there are" in str(found)


def test_coroutine_functions_are_clients(url: str) -> None:
    found = failure_of(
        create_async_engine(url.replace("+psycopg", "+asyncpg")),
        clients={"ada": deposit_async, "bob": deposit_async},
        check=is_two,
    )
    assert "ada*2 bob*4 ada*2" == str(found.schedule)


def test_a_client_that_has_only_begun_may_hold_the_last_connection_of_a_pool(url: str) -> None:
    """Each has one of two connections, and waits for another one: no client holds one connection for a longer time."""

    def write_too(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1 FROM accounts"))
            with engine.begin() as other:
                other.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = 1"))

    engine = create_engine(url, pool_size=1, max_overflow=1, pool_timeout=5)
    found = failure_of(engine, clients={"ada": write_too, "bob": write_too}, check=lambda _: True)
    assert "raised TimeoutError, as in no serial order" in found.wrong


def test_a_third_client_that_is_not_needed_is_left_out(engine: Engine) -> None:
    """Where the check holds without it in every serial order."""

    def count(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT count(*) FROM others"))
            connection.execute(text("SELECT count(*) FROM accounts"))

    found = failure_of(engine, clients={"ada": deposit, "cyd": count, "bob": deposit}, check=is_two)
    assert {"ada", "bob"} == set(found.result.outcomes)


def test_independent_clients_need_a_handful_of_schedules(engine: Engine) -> None:
    """Two clients of six statements on two tables: where nothing conflicts, one order stands for all."""

    def six(table: str) -> Callable[[Engine], None]:
        def client(engine: Engine) -> None:
            with engine.begin() as connection:
                for _ in range(6):
                    connection.execute(text(f"UPDATE {table} SET balance = balance + 1 WHERE id = 1"))

        return client

    clients = {"ada": six("accounts"), "bob": six("others")}
    found = explore(engine, clients=clients, inside_statements=False)
    assert found.is_exhausted
    assert found.runs <= 8  # a few random ones among them


def test_a_statement_that_is_overtaken_inside_is_found(engine: Engine) -> None:
    """One autocommit statement each: INSERT … SELECT … WHERE NOT EXISTS."""

    def add(engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(
                text("INSERT INTO tags SELECT 'new' WHERE NOT EXISTS (SELECT FROM tags WHERE name = 'new')")
            )

    def check(connection: Connection) -> bool:
        return bool(connection.scalar(text("SELECT count(*) FROM tags")) == 1)

    found = failure_of(engine, clients={"ada": add, "bob": add}, check=check)
    assert 1 == found.result.preemptions
    assert "stops inside" in str(found)


def test_write_skew_is_found_without_a_check(engine: Engine) -> None:
    """Under REPEATABLE READ: each goes off call, as the other one is on."""

    def go_off(name: str) -> Callable[[Engine], None]:
        def client(engine: Engine) -> None:
            with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
                if connection.scalar(text("SELECT count(*) FROM doctors WHERE on_call")) == 2:
                    connection.execute(text("UPDATE doctors SET on_call = false WHERE name = :name"), {"name": name})
                connection.commit()

        return client

    found = failure_of(engine, clients={"ada": go_off("ada"), "bob": go_off("bob")})
    assert 'doctors {"name": "ada", "on_call": false}\ndoctors {"name": "bob", "on_call": false}' in found.wrong


def test_an_error_that_no_serial_order_raises_is_a_failure(engine: Engine) -> None:
    """A deadlock, unless it is expected."""

    def move(first: int, second: int) -> Callable[[Engine], None]:
        def client(engine: Engine) -> None:
            with engine.begin() as connection:
                for account in (first, second):
                    connection.execute(text("UPDATE accounts SET balance = 1 WHERE id = :id"), {"id": account})

        return client

    clients = {"ada": move(1, 2), "bob": move(2, 1)}
    found = failure_of(engine, clients=clients)
    assert "raised OperationalError 40P01, as in no serial order" in found.wrong
    found_again = explore(engine, clients=clients, expected_errors=["40P01"], inside_statements=False)
    assert isinstance(found_again, Explored)


def test_a_run_in_which_nobody_can_go_on_is_a_failure(engine: Engine) -> None:
    """Ada ends with a session's advisory lock, which her pool keeps; bob waits for it for ever."""

    def lock(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(7)"))
            connection.commit()

    found = failure_of(engine, clients={"ada": lock, "bob": lock}, check=lambda _connection: True)
    assert found.wrong.startswith("No client can ever go on.\n- bob waits for ada")
    assert "for ada, which ended at step 3 and left the lock to its connection." in str(found)
    assert "SELECT pg_advisory_lock(7) -> waits for ada" in str(found)
    assert "replayed 10 of 10" in str(found)


def test_what_is_not_looked_for_is_said(engine: Engine) -> None:
    """A SELECT that locks rows is not stopped between them."""

    def lock(engine: Engine) -> None:
        in_one(engine, "SELECT FROM accounts ORDER BY id FOR NO KEY UPDATE")

    clients = {"ada": lock, "bob": lock}
    found = explore(engine, clients=clients, check=lambda _connection: True)
    assert str(found).endswith("Not tried: other clients between two rows that one SELECT … FOR UPDATE locks.")
    assert "Not tried" not in str(explore(engine, clients={"ada": deposit}, check=lambda _connection: True))


def test_a_poller_that_sleeps_lets_the_others_go_on(engine: Engine) -> None:
    """It asks once a simulated second until another client has inserted."""
    clock = SimulatedClock()

    def poll(engine: Engine) -> None:
        while True:
            with engine.begin() as connection:
                if connection.scalar(text("SELECT count(*) FROM tags")):
                    return
            clock.sleep(timedelta(seconds=1))

    def insert(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO tags VALUES ('there')"))

    found = explore(engine, clients={"ada": poll, "bob": insert}, clock=clock, schedules=40)
    assert found.preemptions >= 1


def test_every_single_fault_is_tried(engine: Engine) -> None:
    """A retry after a COMMIT without an answer charges twice; the report has the one fault."""

    def charge(engine: Engine) -> None:
        for _ in range(2):
            try:
                with engine.begin() as connection:
                    connection.execute(text("INSERT INTO charges (key) VALUES ('once')"))
            except Exception:  # noqa: S112  as careless backends do
                continue
            return

    def check(connection: Connection) -> bool:
        return bool(connection.scalar(text("SELECT count(*) FROM charges")) <= 1)

    found = failure_of(engine, clients={"ada": charge}, check=check, faults="each", inside_statements=False)
    assert {Fault.COMMIT_DONE} == set(found.schedule.faults.values())
    # The serial order, what can hit each of its steps, and the fault that most bugs come of.
    assert str(found).endswith("found after 3 runs, replayed 10 of 10")


def test_a_poller_that_does_not_sleep_lets_the_others_go_on(engine: Engine) -> None:
    """It asks again and again; the unfair schedule counts as one."""

    def poll(engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.scalar(text("SELECT count(*) FROM tags")):
                pass

    def insert(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO tags VALUES ('there')"))

    assert explore(engine, clients={"ada": poll, "bob": insert}, schedules=20, inside_statements=False).runs == 20


def test_a_crash_is_a_fault_like_others(engine: Engine) -> None:
    """The database is made anew after it, so that the runs behind it begin as all others do."""
    balances = []

    def check(connection: Connection) -> bool:
        balances.append(connection.scalar(text("SELECT balance FROM accounts WHERE id = 1")))
        return balances[-1] in (0, 1)

    clients = {"ada": deposit_rightly}
    explored = explore(engine, clients=clients, check=check, faults="each", kinds=[Fault.CRASH])
    assert explored.is_exhausted
    assert {0, 1} == set(balances)  # what was left of the crash was looked at, and not a new database
    found = failure_of(engine, clients=TWO, check=is_two)
    assert "ada*2 bob*4 ada*2" == str(found.schedule)


@pytest.fixture
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """No random runs: what is left out as independent is found by none."""
    monkeypatch.setattr(search, "RANDOM_BESIDE", 0)


@pytest.mark.usefixtures("no_chance")
def test_a_statement_that_failed_in_a_savepoint_is_not_taken_for_independent(engine: Engine) -> None:
    """Its locks are gone before anybody can look."""

    def ada(engine: Engine) -> str:
        with engine.begin() as connection:
            connection.execute(text("SELECT balance FROM others"))
            try:
                with connection.begin_nested():
                    connection.execute(text("UPDATE wallets SET balance = balance - 10 WHERE id = 1"))
            except IntegrityError:
                return "refused"
        return "paid"

    def bob(engine: Engine) -> None:
        in_one(engine, "UPDATE wallets SET balance = balance + 10 WHERE id = 1")
        in_one(engine, "UPDATE wallets SET balance = balance - 10 WHERE id = 1")

    found = failure_of(engine, clients={"ada": ada, "bob": bob}, inside_statements=False)
    assert "bob raised IntegrityError 23514" in found.wrong


@pytest.mark.usefixtures("no_chance")
def test_what_only_an_interleaving_does_may_conflict_with_what_was_left_out_before(engine: Engine) -> None:
    """Bob writes to the other table only where ada has come between his two reads."""
    wrote = {}

    def bob(engine: Engine) -> None:
        with engine.begin() as connection:
            first = connection.scalar(text("SELECT balance FROM accounts WHERE id = 1"))
            wrote["bob"] = first != connection.scalar(text("SELECT balance + 0 FROM accounts WHERE id = 1"))
            if wrote["bob"]:
                connection.execute(text("UPDATE others SET balance = balance + 10 WHERE id = 1"))

    def ada(engine: Engine) -> None:
        deposit_rightly(engine)
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT balance FROM others WHERE id = 1"))
            connection.execute(text("UPDATE others SET balance = :new"), {"new": found + 1})

    def check(connection: Connection) -> bool:
        return not wrote["bob"] or bool(connection.scalar(text("SELECT balance FROM others")) == 11)

    failure_of(engine, clients={"ada": ada, "bob": bob}, check=check, inside_statements=False)


def test_five_clients_are_compared_with_all_their_orders(engine: Engine) -> None:
    def append(digit: int) -> Callable[[Engine], None]:
        return lambda engine: in_one(engine, f"UPDATE others SET balance = balance * 10 + {digit}")

    clients = {name: append(digit) for digit, name in enumerate("abcde", start=1)}
    explore(engine, clients=clients, inside_statements=False, schedules=150)


@pytest.mark.usefixtures("no_chance")
def test_a_sessions_advisory_lock_hides_no_transactions_end(engine: Engine) -> None:
    """Ada reads what bob made of her first transaction; her second one takes its snapshot in another table."""
    read = []

    def ada(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(1)"))
            connection.commit()
            connection.execute(text("UPDATE accounts SET balance = 100 WHERE id = 2"))
            connection.commit()
            connection.execution_options(isolation_level="REPEATABLE READ")
            connection.execute(text("SELECT FROM odd"))
            read.append(connection.scalar(text("SELECT balance FROM accounts WHERE id = 1")))
            connection.commit()
            connection.execute(text("SELECT pg_advisory_unlock(1)"))
            connection.commit()

    def bob(engine: Engine) -> None:
        with engine.begin() as connection:
            other = connection.scalar(text("SELECT balance FROM accounts WHERE id = 2"))
            connection.execute(text("UPDATE accounts SET balance = :new WHERE id = 1"), {"new": other + 1})
        in_one(engine, "UPDATE accounts SET balance = 7 WHERE id = 1")

    clients = {"ada": ada, "bob": bob}
    failure_of(
        engine, clients=clients, check=lambda _connection: read[-1] != 101, inside_statements=False, schedules=600
    )
