"""Specifications of the isolation tester: what is read runs as the tester runs it, and a run can be written as one."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import leased_server
from pgdst import isolation_spec
from pgdst.errors import ConfigurationError
from pgdst.isolation_spec import IsolationSpec
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.step import StepKind
from pgdst.simulation.strategies.schedule import Schedule
from sqlalchemy import Engine, create_engine, text

# In the shape of PostgreSQL's own: quoted names, comments, markers after steps, several setups.
SPEC = """
# Two deposits that read first.
setup { CREATE TABLE accounts (id int PRIMARY KEY, balance int); }
setup { INSERT INTO accounts VALUES (1, 0), (2, 0); }
teardown { DROP TABLE accounts; }

session "s1"
setup { BEGIN ISOLATION LEVEL READ COMMITTED; }
step r1 { SELECT balance FROM accounts WHERE id = 1; }  # a comment { with a brace
step "w1" { UPDATE accounts SET balance = 1 WHERE id = 1; }
step c1 { COMMIT; }

session s2
setup { BEGIN ISOLATION LEVEL REPEATABLE READ; }
step r2 { SELECT balance FROM accounts WHERE id = 1; }
step w2 { UPDATE accounts SET balance = 2 WHERE id = 1; }
step c2 { COMMIT; }
teardown { SELECT 'torn down'; }

permutation r1 w1 c1 r2 w2 c2
permutation "r1" r2 w1 w2(*) c1 c2(w1 notices 1)
permutation r2 w2 r1 w1 c2 c1
"""
ALONE = "UPDATE accounts SET balance = balance + 1 WHERE id = 1"


@pytest.fixture(scope="module")
def processes() -> Iterator[ServerProcesses]:
    with leased_server(EmbeddedEngine()) as server, server_processes_of(server) as found:
        yield found


@pytest.fixture
def simulation(processes: ServerProcesses) -> Iterator[Simulation]:
    made = Simulation(processes)
    yield made
    made.close()


@pytest.fixture
def engine(processes: ServerProcesses, simulation: Simulation) -> Iterator[Engine]:
    made = create_engine(processes.server.url)
    simulation.attach(made)
    yield made
    made.dispose()


def run(spec: IsolationSpec, permutation: tuple[str, ...], simulation: Simulation, engine: Engine) -> Any:
    """Run a permutation; return the result and what the accounts hold."""
    one = spec.run(permutation)
    with engine.connect() as connection:
        spec.set_up(connection)
    for name, client in one.clients.items():
        simulation.spawn(name, client, engine)
    result = simulation.run(one.strategy)
    with engine.connect() as connection:
        balance = connection.scalar(text("SELECT balance FROM accounts WHERE id = 1"))
        connection.rollback()
        spec.tear_down(connection)
    return result, balance


def order(result: Any) -> list[str]:
    """Return the statements of clients in the order in which they were executed or began to wait."""
    return [
        f"{step.client}:{'waits' if step.kind is StepKind.WAITS else step.what.split('; ')[-1].split()[0].lower()}"
        for step in result.steps
        if step.kind in (StepKind.STATEMENT, StepKind.WAITS)
    ]


def test_permutations_run_in_their_order_and_waits_end_as_in_the_tester(simulation: Simulation, engine: Engine) -> None:
    spec = isolation_spec.load(SPEC)
    outcomes = []
    for permutation in spec.permutations:
        result, balance = run(spec, permutation, simulation, engine)
        outcomes.append((result.value("s1"), result.value("s2"), balance, order(result)))
    one_after_another, snapshot, waits = outcomes
    assert ([[(0,)], None, None], [[(1,)], None, None], 2) == one_after_another[:3]
    assert ([[(0,)], None, None], [[(0,)], "40001", None], 1) == snapshot[:3]
    begun = ["s1:select", "s2:select", "s1:update", "s2:waits", "s1:commit", "s2:update", "s2:commit", "s2:select"]
    assert begun == snapshot[3]
    assert ([[(0,)], None, None], [[(0,)], None, None], 1) == waits[:3]
    # c2 ends w1's wait, and w1 goes on before c1 begins.
    assert ["s2:select", "s2:update", "s1:select", "s1:waits", "s2:commit", "s1:update", "s1:commit"] == waits[3][:7]


def test_without_permutations_all_orders_are_run() -> None:
    spec = isolation_spec.load(SPEC.partition("permutation")[0])
    assert len(spec.permutations) == 20
    assert len(set(spec.permutations)) == 20
    for permutation in spec.permutations:
        assert ["r1", "w1", "c1"] == [step for step in permutation if step[1] == "1"]


def test_a_run_written_and_read_again_is_the_same(simulation: Simulation, engine: Engine) -> None:
    """With parameters of all kinds, waits, and the levels of transactions."""

    def deposit(level: str) -> None:
        with engine.connect().execution_options(isolation_level=level) as connection, connection.begin():
            found = connection.scalar(text("SELECT balance FROM accounts WHERE id = :id"), {"id": 1})
            connection.execute(
                text("UPDATE accounts SET balance = :new WHERE id = :id AND :text <> :other"),
                {"new": found + 1, "id": 1, "text": "it's", "other": "$1"},
            )

    made = isolation_spec.load(SPEC)
    schedule = Schedule.parse("ada*2 bob*2 ada bob ada bob*2")
    with engine.connect() as connection:
        made.set_up(connection)
    simulation.spawn("ada", deposit, "READ COMMITTED")
    simulation.spawn("bob", deposit, "REPEATABLE READ")
    first = simulation.run(schedule)
    with engine.connect() as connection:
        made.tear_down(connection)
    assert order(first) == [
        *("ada:select", "bob:select", "ada:update", "bob:waits", "ada:commit", "bob:update", "bob:rollback"),
    ]
    written = first.as_isolation_spec("\n".join(made.setup), made.teardown)
    assert "step bob_1 { BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT balance" in written
    assert "'it''s'" in written
    assert written.endswith("permutation ada_1 bob_1 ada_2 bob_2 ada_3 bob_3\n")
    spec = isolation_spec.load(written)
    again, balance = run(spec, spec.permutations[0], simulation, engine)
    assert order(again) == order(first)
    assert (["40001"], 1) == ([one for one in again.value("bob") if isinstance(one, str)], balance)


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000", "asyncpg"])
def test_what_other_drivers_sent_can_be_written(processes: ServerProcesses, driver: str) -> None:
    """Also binary parameters."""
    simulation = Simulation(processes)
    is_async = driver == "asyncpg"
    if is_async:
        from sqlalchemy.ext.asyncio import create_async_engine as create

        engine: Any = create(processes.server.url.replace("+psycopg", "+asyncpg"))
    else:
        engine = create_engine(processes.server.url.replace("+psycopg", f"+{driver}"))
    simulation.attach(engine)
    asked = text("SELECT CAST(:number AS int) + 1, CAST(:word AS text), CAST(:flag AS bool)")
    values = {"number": 5, "word": "a'b", "flag": True}

    def ask() -> Any:
        with engine.begin() as connection:
            return connection.execute(asked, values).all()

    async def ask_async() -> Any:
        async with engine.begin() as connection:
            return (await connection.execute(asked, values)).all()

    simulation.spawn("ada", ask_async if is_async else ask)
    written = simulation.run(Schedule.parse("ada*3")).as_isolation_spec()
    simulation.close()
    spec = isolation_spec.load(written)
    plain = create_engine(processes.server.url)
    assert [[(6, "a'b", True)], None] == spec.run(spec.permutations[0]).clients["ada"](plain)
    plain.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_statements_are_written_and_run_as_they_were_sent(processes: ServerProcesses, driver: str) -> None:
    """With their lines, comments and spaces; per cent is no parameter, and a session may have a keyword's name."""
    engine, simulation = create_engine(processes.server.url.replace("+psycopg", f"+{driver}")), Simulation(processes)
    simulation.attach(engine)
    sent = "SELECT 'a  b', -- $1 and 'c\n  1, 'O''Neill \\ $$' LIKE 'O%', E'\\'', $q$'$q$ /* ; */"

    def client() -> Any:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sent, execution_options={"no_parameters": True})]

    simulation.spawn("step", client)
    before = simulation.run(Schedule.parse("step*3"))
    setup = "SELECT 1 WHERE 'a' LIKE '%a'; SELECT 2;"
    spec = isolation_spec.load(before.as_isolation_spec(setup=setup))
    assert 'session "step"' in before.as_isolation_spec()
    one = spec.run(spec.permutations[0])
    with engine.connect() as connection:
        spec.set_up(connection)
    for name, run_it in one.clients.items():
        simulation.spawn(name, run_it, engine)
    assert [before.value("step"), None] == simulation.run(one.strategy).value("step")
    simulation.close()
    engine.dispose()


def test_what_a_specification_cannot_say_is_an_error(simulation: Simulation, engine: Engine) -> None:
    with engine.connect() as connection:
        isolation_spec.load(SPEC).set_up(connection)

    def add(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))

    simulation.spawn("ada", add, ALONE)
    with pytest.raises(ConfigurationError, match="no words for the fault cancelled"):
        simulation.run(Schedule(("ada",) * 3, {2: Fault.CANCELLED})).as_isolation_spec()
    simulation.spawn("ada", add, "UPDATE accounts SET balance = 0 WHERE '{' <> ''")
    with pytest.raises(ConfigurationError, match="allows no braces"):
        simulation.run(Schedule.parse("ada*3")).as_isolation_spec()
    with engine.connect() as connection:
        isolation_spec.load(SPEC).tear_down(connection)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("", "Line 1 of the specification has no session"),
        ("session a", "no step in session a: its end"),
        ("session a step b", "no SQL in braces"),
        ("session a\nstep b { SELECT 1 ", "Line 2 of the specification has what no specification has: { SELECT 1"),
        ("session a step b { } step b { } permutation", "no step in a permutation"),
        ("session a step b { } session c step b { }", "Two steps of the specification have the name b"),
        ("session a step b { } permutation b ( *", "a parenthesis without an end"),
        ("session a step b { } b", "something in a wrong place: b"),
        ("session { }", "no name where one must be"),
    ],
)
def test_a_broken_specification_is_an_error_that_says_where(broken: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        isolation_spec.load(broken)
    assert told in str(error.value)


def test_a_permutation_of_unknown_steps_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="There is no step r3 in the specification, but r1, w1"):
        isolation_spec.load(SPEC).run(["r1", "r3"])
