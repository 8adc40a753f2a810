"""Clients move money at the same time, with and without faults, in this process and in a threaded server."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pgdst import Exhaustive, Simulation, Uniform, random_faults
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.sql import Select
from transfers import main

BACKEND = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "flask", "--app", "tests.served", "run", "--port", "{port}"]
MOVES = {"ada": ("mine", "yours", 3), "bob": ("yours", "mine", 2), "cyd": ("mine", "yours", 4)}


@pytest.fixture
def engine(database: str) -> Engine:
    """An engine on psycopg2, for this test's database."""
    return create_engine(database.replace("+psycopg", "+psycopg2"))


def fill(engine: Engine) -> None:
    """Make two accounts with a balance of 5 each."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM accounts"))
        connection.execute(text("INSERT INTO accounts VALUES ('mine', 5), ('yours', 5)"))


def balances(engine: Engine) -> dict[str, int]:
    """Return the balances by account."""
    with engine.connect() as connection:
        return {row.name: row.balance for row in connection.execute(text("SELECT name, balance FROM accounts"))}


def move(giver: str, taker: str, amount: int) -> int:
    """Send a transfer to the application in this process, and return the status."""
    with main.app.test_client() as client:
        return client.post("/transfers", json={"from": giver, "to": taker, "amount": amount}).status_code


def move_there(url: str, simulation: Simulation, giver: str, taker: str, amount: int) -> int:
    """Send a transfer to the application in another process, and return the status."""
    body = {"from": giver, "to": taker, "amount": amount}
    return httpx.post(f"{url}/transfers", json=body, headers=simulation.identity()).status_code


def move_at_once(simulation: Simulation, engine: Engine, moves: Callable[..., Any]) -> None:
    """Let clients move money under each schedule with at most one preemption; the balances match the answers."""
    schedules = Exhaustive(preemptions=1)
    for schedule in schedules:
        fill(engine)
        for name, arguments in MOVES.items():
            simulation.spawn(name, moves, *arguments)
        result = simulation.run(schedule)
        assert {} == result.errors
        mine = 5
        for name, (giver, _taker, amount) in MOVES.items():
            if result.value(name) == 201:
                mine += amount if giver == "yours" else -amount
        assert {"mine": mine, "yours": 10 - mine} == balances(engine), "money is lost"
    assert schedules.is_exhausted


@pytest.fixture
def here(engine: Engine, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """The application in this process, its engine attached."""
    monkeypatch.setattr(main, "engine", engine)
    simulation.attach(engine)
    return simulation


def test_no_money_is_lost(here: Simulation, engine: Engine) -> None:
    move_at_once(here, engine, move)


def test_no_money_is_lost_in_a_storm(here: Simulation, engine: Engine, pgdst_seed: int) -> None:
    """The faults are lost connections, commits without an answer and crashes of the server."""
    for number in range(30):
        fill(engine)
        for name, arguments in MOVES.items():
            here.spawn(name, move, *arguments)
        here.run(Uniform(pgdst_seed + number), random_faults(pgdst_seed + number))
        assert 10 == sum(balances(engine).values()), "money is lost"


def test_it_is_so_where_the_application_is_a_process_of_its_own(
    database: str, simulation: Simulation, engine: Engine
) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    url = simulation.serve(COMMAND, url_variable="TRANSFERS_DATABASE", driver="psycopg2", database=name, folder=BACKEND)
    move_at_once(simulation, engine, partial(move_there, url, simulation))


def test_accounts_that_are_not_locked_are_found_out(
    here: Simulation, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive version reads both balances, then writes them."""
    monkeypatch.setattr(Select, "with_for_update", lambda query: query)
    with pytest.raises(AssertionError, match="money is lost"):
        move_at_once(here, engine, move)
