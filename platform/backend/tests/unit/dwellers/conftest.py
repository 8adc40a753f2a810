"""What the tests of dwellers share: a world with a region, and the dwellers they put into it."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.agents.service import beat
from deepsci.dwellers import actions, claims, service
from deepsci.dwellers.schemas import Act, DescribeDweller
from deepsci.models import Action, Agent, Claim, Dweller, Notification, NotificationKind, Region, World
from deepsci.worlds.schemas import DescribeRegion
from deepsci.worlds.service import add_region, found_world
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

DEADLINE_SECONDS = 10.0
BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
)


@pytest.fixture
def founder(register: Callable[[str], Agent]) -> Agent:
    """Who founded the world."""
    return register("founder")


@pytest.fixture
def found(
    session: Session, clock: SimulatedClock, ids: SeededIds, submitted: Callable[[Agent], Any]
) -> Callable[[Agent], World]:
    """Founds a world of an agent's, and commits."""

    def found(agent: Agent) -> World:
        world = found_world(session, ids, submitted(agent), clock.now())
        session.commit()
        return world

    return found


@pytest.fixture
def world(founder: Agent, found: Callable[[Agent], World]) -> World:
    """The world of the tests."""
    return found(founder)


@pytest.fixture
def region(session: Session, clock: SimulatedClock, ids: SeededIds, founder: Agent, world: World) -> Region:
    """Its region."""
    region = add_region(session, clock, ids, founder, world.id, DescribeRegion(name="Delta", description="Wet."))
    session.commit()
    return region


@pytest.fixture
def add(
    session: Session, clock: SimulatedClock, ids: SeededIds, founder: Agent, region: Region
) -> Callable[[str], Dweller]:
    """Adds a dweller under a name, and commits."""

    def add(name: str) -> Dweller:
        body = DescribeDweller(region_id=region.id, name=name, persona="A pilot.")
        dweller = service.add_dweller(session, clock, ids, founder, region.world_id, body)
        session.commit()
        return dweller

    return add


@pytest.fixture
def hold(
    session: Session, clock: SimulatedClock, ids: SeededIds, add: Callable[[str], Dweller]
) -> Callable[..., Dweller]:
    """Adds a dweller under a name, lets an agent claim it, and commits."""

    def hold(agent: Agent, name: str) -> Dweller:
        dweller = add(name)
        claims.claim(session, clock, ids, agent, dweller.id)
        session.commit()
        return dweller

    return hold


@pytest.fixture
def claim_of(session: Session) -> Callable[[Dweller], Claim]:
    """Reads the only claim that a dweller ever had, as it now is in the session's transaction."""

    def claim_of(dweller: Dweller) -> Claim:
        session.expire_all()
        return session.scalars(select(Claim).where(Claim.dweller_id == dweller.id)).one()

    return claim_of


@pytest.fixture
def token_for(session: Session, clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], str]:
    """Asks for the context of a dweller whom an agent holds, commits, and gives the token."""

    def token_for(agent: Agent, dweller: Dweller) -> str:
        secret = actions.read_context(session, clock, ids, agent, dweller.id).secret
        session.commit()
        return secret

    return token_for


@pytest.fixture
def act(
    session: Session, clock: SimulatedClock, ids: SeededIds, token_for: Callable[[Agent, Dweller], str]
) -> Callable[..., Action]:
    """Does something through a dweller whom an agent holds, and commits."""

    def act(agent: Agent, dweller: Dweller, deed: str = "Sails.") -> Action:
        body = Act(context_token=token_for(agent, dweller), deed=deed)
        action = actions.act(session, clock, ids, agent, dweller.id, body)
        session.commit()
        return action

    return act


@pytest.fixture
def pass_time(session: Session, clock: SimulatedClock) -> Callable[..., None]:
    """Lets time pass, at the end of which some agents send a heartbeat, and commits."""

    def pass_time(duration: timedelta, *agents: Agent) -> None:
        clock.advance(duration)
        for agent in agents:
            beat(session, clock, agent)
        session.commit()

    return pass_time


@pytest.fixture
def wait_until_blocked(engine: Engine) -> Callable[[int], None]:
    """Returns once the database says that so many transactions wait for another."""

    def wait_until_blocked(expected: int) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as observer:
            while observer.execute(BLOCKED).scalar_one() != expected:
                assert time.monotonic() < deadline, f"there are not {expected} that are blocked"

    return wait_until_blocked


@pytest.fixture
def claim(session: Session, clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], claims.Held]:
    """Lets an agent claim a dweller in the session's transaction, which goes on."""
    return lambda agent, dweller: claims.claim(session, clock, ids, agent, dweller.id)


@pytest.fixture
def claiming(clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], Callable[[Session], claims.Held]]:
    """Gives the action of a claim, for a transaction of its own."""
    return lambda agent, dweller: lambda own: claims.claim(own, clock, ids, agent, dweller.id)


@pytest.fixture
def told(session: Session) -> Callable[..., list[tuple[UUID, int, NotificationKind, UUID]]]:
    """Returns all that anybody was told, as the session sees it, or another one."""

    def rows(seen_by: Session = session) -> list[tuple[UUID, int, NotificationKind, UUID]]:
        found = seen_by.scalars(select(Notification).order_by(Notification.agent_id, Notification.number))
        return [(row.agent_id, row.number, row.kind, row.subject_id) for row in found]

    return rows
