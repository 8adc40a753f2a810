"""A foreign backend: a FastAPI application with a race, found by a state machine and by a plain test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KIT, PYTHON, Sandbox

APPLICATION = '''
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

READ, TAKE = text("SELECT count(*) FROM things"), text("INSERT INTO things DEFAULT VALUES")


def application(engine):
    """The one thing there is may be taken once, but nothing locks it."""
    app = FastAPI()

    @app.post("/take")
    def take():
        with engine.begin() as connection:
            if connection.execute(READ).scalar_one() == 0:
                connection.execute(TAKE)
    return app


def asynchronous_application(engine):
    app = FastAPI()

    @app.post("/take")
    async def take():
        async with engine.begin() as connection:
            if (await connection.execute(READ)).scalar_one() == 0:
                await connection.execute(TAKE)
    return app
'''
MACHINE = """
import hypothesis.strategies as st
import psycopg
from hypothesis import seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pgdst.simulation.hypothesis.concurrently import Concurrently
from pgdst.simulation.hypothesis.provider import SEED_ONLY
from shop import *


def test_the_thing_is_taken_once(clean_databases, new_simulation, pgdst_seed):
    class Machine(Concurrently, RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.lent = clean_databases.lend()
            url = self.lent.__enter__()
            self.engine = {engine}(url)
            self.simulation = new_simulation()
            self.simulation.attach(self.engine)
            self.client = TestClient({application}(self.engine))
            self.client.__enter__()
            self.observer = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

        def teardown(self):
            self.client.__exit__(None, None, None)
            self.simulation.close()
            self.observer.close()
            self.lent.__exit__(None, None, None)

        @rule(data=st.data())
        def take_it_at_once(self, data):
            take = lambda: self.client.post("/take").status_code
            self.concurrently(data, ada=take, bob=take)
            assert self.observer.execute("SELECT count(*) FROM things").fetchone() == (1,)

    chosen = settings(backend=SEED_ONLY, database=None, deadline=None, max_examples=20, stateful_step_count=3)
    run_state_machine_as_test(seed(pgdst_seed)(lambda: Machine()), settings=chosen)
"""
PLAIN = """
import pytest
from pgdst.simulation.strategies.uniform import Uniform
from shop import *


def test_the_thing_is_taken_once(simulation, database, pgdst_seed):
    engine = create_engine(database)
    simulation.attach(engine)
    with TestClient(application(engine)) as client:
        for number in range(40):
            simulation.spawn("ada", client.post, "/take")
            simulation.spawn("bob", client.post, "/take")
            simulation.run(Uniform(pgdst_seed + number))
            with engine.begin() as connection:
                assert connection.execute(READ).scalar_one() == 1
                connection.execute(text("DELETE FROM things"))
"""


@pytest.fixture
def simulated(sandbox: Sandbox) -> Callable[[str], list[str]]:
    """Run a failing simulation with seed 3 under with_postgres.sh, and return the lines of its output."""
    folder = Path(sandbox.root) / "tests" / "simulation"

    def run(simulation: str) -> list[str]:
        (folder / "shop.py").write_text(APPLICATION)
        (folder / "test_tiny.py").write_text(simulation)
        done = sandbox.with_postgres("--", PYTHON, KIT / "tools" / "run_simulation.py", "--seed", "3")
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize(
    ("engine", "application"),
    [
        pytest.param("create_engine", "application", id="sync", marks=pytest.mark.long),
        pytest.param("create_async_engine", "asynchronous_application", id="async", marks=pytest.mark.long),
    ],
)
def test_a_machine_shows_the_smallest_interleaving_the_same_each_time(
    simulated: Callable[[str], list[str]], engine: str, application: str
) -> None:
    """One preemption is enough: ada reads, bob reads."""
    simulation = MACHINE.replace("{engine}", engine).replace("{application}", application)
    first, second = (pictures(simulated(simulation)) for _twice in range(2))
    assert first == second
    assert len(first) >= 2  # by Hypothesis, and by the fixture; in CI pytest's summary has it once more
    [picture] = set(map(tuple, first))
    assert 1 == len({line.split()[0] for line in picture[1:-1] if "!" in line.split()[0]}), picture
    assert 2 == sum("INSERT 0 1" in line for line in picture)


def test_a_plain_test_that_fails_shows_its_last_run_and_how_to_repeat_it(simulated: Callable[[str], list[str]]) -> None:
    lines = simulated(PLAIN)
    picture = pictures(lines)[0]
    assert picture[0].split() == ["step", "ada", "bob"]
    assert 2 == sum("INSERT 0 1" in line for line in picture)
    [replay] = [line for line in lines if line.startswith("replay: ")]
    assert replay.endswith(f" -- {PYTHON} {KIT / 'tools' / 'run_simulation.py'} --seed=3")


def pictures(lines: list[str]) -> list[list[str]]:
    """Return the printed interleavings, each from its heading to its schedule."""
    starts = [number for number, line in enumerate(lines) if line.split()[:1] == ["step"] or "step  ada" in line]
    ends = [number for number, line in enumerate(lines) if "schedule: " in line]
    return [[line.lstrip("E| ") for line in lines[a : b + 1]] for a, b in zip(starts, ends, strict=True)]
