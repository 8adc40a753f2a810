"""Two clients buy the last seat, under every schedule, from the application in this process and in its own."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pgdst import Exhaustive, Simulation
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tickets import main
from tickets.models import Concert

BACKEND = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "uvicorn", "tests.served:app", "--port", "{port}", "--log-level", "warning"]
NewConcert = Callable[[], int]


@pytest.fixture
def new_concert(database: str) -> Iterator[NewConcert]:
    """A function that adds a concert with one seat and returns its id."""
    engine = create_engine(database)

    def add() -> int:
        with Session(engine) as session:
            concert = Concert(seats_left=1)
            session.add(concert)
            session.commit()
            return concert.id

    yield add
    engine.dispose()


@pytest.fixture
def here(database: str, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """The application in this process, its engine attached."""
    engine = create_async_engine(database.replace("+psycopg", "+asyncpg"))
    monkeypatch.setattr(main, "engine", engine)
    simulation.attach(engine)
    return simulation


async def buy(concert: int, buyer: str) -> int:
    """Buy a seat from the application in this process, and return the status."""
    transport = httpx.ASGITransport(main.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tickets") as client:
        answer = await client.post(f"/concerts/{concert}/sales", params={"buyer": buyer})
    return answer.status_code


def buy_there(url: str, simulation: Simulation, concert: int, buyer: str) -> int:
    """Buy a seat from the application in another process, and return the status."""
    answer = httpx.post(f"{url}/concerts/{concert}/sales", params={"buyer": buyer}, headers=simulation.identity())
    return answer.status_code


def sell_the_last_seat(simulation: Simulation, new_concert: NewConcert, buys: Callable[..., Any]) -> None:
    """Let ada and bob buy the only seat, under each schedule with at most two preemptions."""
    schedules = Exhaustive(preemptions=2)
    for schedule in schedules:
        concert = new_concert()
        for buyer in ("ada", "bob"):
            simulation.spawn(buyer, buys, concert, buyer)
        result = simulation.run(schedule)
        statuses = sorted(result.value(buyer) for buyer in ("ada", "bob"))
        assert [201, 409] == statuses, "the last seat is sold twice"
    assert schedules.is_exhausted


def test_the_last_seat_is_sold_once(here: Simulation, new_concert: NewConcert) -> None:
    sell_the_last_seat(here, new_concert, buy)


def test_it_is_so_where_the_application_is_a_process_of_its_own(
    database: str, simulation: Simulation, new_concert: NewConcert
) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    url = simulation.serve(COMMAND, url_variable="TICKETS_DATABASE", driver="asyncpg", database=name, folder=BACKEND)
    sell_the_last_seat(simulation, new_concert, partial(buy_there, url, simulation))


def test_a_concert_that_is_not_locked_is_found_oversold(
    here: Simulation, new_concert: NewConcert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive version checks whether there is a seat, then sells it."""
    get: Any = AsyncSession.get
    monkeypatch.setattr(AsyncSession, "get", lambda self, entity, key, **_locks: get(self, entity, key))
    with pytest.raises(AssertionError, match="the last seat is sold twice"):
        sell_the_last_seat(here, new_concert, buy)
