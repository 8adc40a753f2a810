"""deepsci.dwellers.service."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.dwellers import service
from deepsci.dwellers.schemas import DescribeDweller
from deepsci.errors import ApiError
from deepsci.models import Agent, Dweller, Region, World
from deepsci.worlds.schemas import DescribeRegion
from deepsci.worlds.service import add_region
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

NOTHING = UUID(int=0)

Add = Callable[[str], Dweller]


def described(region_id: UUID, name: str = "Ines") -> DescribeDweller:
    """Return the body of somebody new."""
    return DescribeDweller(region_id=region_id, name=name, persona="A pilot.")


def test_a_new_dweller_has_done_nothing(session: Session, clock: SimulatedClock, region: Region, add: Add) -> None:
    """It is whom it was described as, from now on."""
    clock.advance(timedelta(seconds=1))
    dweller = add("Ines")
    session.expunge_all()
    read = service.get_dweller(session, dweller.id)
    assert (region.world_id, region.id, "Ines", "A pilot.", 0, clock.now()) == (
        read.world_id,
        read.region_id,
        read.name,
        read.persona,
        read.action_count,
        read.created_at,
    )


def test_the_first_fault_of_a_dweller_is_told(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    founder: Agent,
    region: Region,
    register: Callable[[str], Agent],
    add: Add,
) -> None:
    """First the world, then the region, then whose it is, then the name."""
    ada, taken = register("ada"), add("Ines").name
    for agent, world_id, region_id, refusal in (
        (ada, NOTHING, NOTHING, "world_not_found"),
        (ada, region.world_id, NOTHING, "region_not_found"),
        (ada, region.world_id, region.id, "not_the_founder"),
    ):
        with pytest.raises(ApiError, match=f"^{refusal}"):
            service.add_dweller(session, clock, ids, agent, world_id, described(region_id, taken))
    with pytest.raises(IntegrityError, match="uq_dwellers_world_id_name"):
        service.add_dweller(session, clock, ids, founder, region.world_id, described(region.id, taken))


def test_a_region_of_another_world_is_not_found(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    founder: Agent,
    region: Region,
    found: Callable[[Agent], World],
) -> None:
    """Although the same agent founded both."""
    other = found(founder)
    with pytest.raises(ApiError, match=r"^region_not_found"):
        service.add_dweller(session, clock, ids, founder, other.id, described(region.id))


def test_a_name_is_taken_in_its_world_only(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    founder: Agent,
    add: Add,
    found: Callable[[Agent], World],
) -> None:
    """And another case is another name."""
    add("Ines"), add("INES")
    world = found(founder)
    region = add_region(session, clock, ids, founder, world.id, DescribeRegion(name="Delta", description="Wet."))
    assert service.add_dweller(session, clock, ids, founder, world.id, described(region.id)).name == "Ines"


def test_of_two_of_one_name_at_once_one_is_added(
    session: Session,
    clock: SimulatedClock,
    ids: SeededIds,
    founder: Agent,
    region: Region,
    start_blocked: Callable[[Callable[[Session], Any]], Future[Any]],
) -> None:
    """The second waits for the first."""

    def add_ines(own: Session) -> Dweller:
        return service.add_dweller(own, clock, ids, founder, region.world_id, described(region.id))

    add_ines(session)
    second = start_blocked(add_ines)
    session.commit()
    with pytest.raises(IntegrityError, match="uq_dwellers_world_id_name"):
        second.result(timeout=10)


def test_an_unknown_dweller_is_not_found(session: Session) -> None:
    """Neither to read nor to lock."""
    with pytest.raises(ApiError, match=f"^dweller_not_found.*{NOTHING}"):
        service.get_dweller(session, NOTHING)
    with pytest.raises(ApiError, match=f"^dweller_not_found.*{NOTHING}"):
        service.lock_dweller(session, NOTHING)


def test_dwellers_are_listed_by_world_the_newest_first(
    session: Session, clock: SimulatedClock, founder: Agent, add: Add, found: Callable[[Agent], World]
) -> None:
    """Ties by id, and page by page."""
    tied = [add("Ines"), add("Juri")]
    clock.advance(timedelta(seconds=1))
    newest = add("Kano")
    world_id, elsewhere = newest.world_id, found(founder)
    expected = [newest, *sorted(tied, key=lambda dweller: dweller.id, reverse=True)]
    assert (expected, None) == service.newest_dwellers(session, world_id, "", 3)
    first, cursor = service.newest_dwellers(session, world_id, "", 2)
    assert cursor is not None
    assert (expected[2:], None) == service.newest_dwellers(session, world_id, cursor, 2)
    assert expected[:2] == first
    assert ([], None) == service.newest_dwellers(session, elsewhere.id, "", 2)


@pytest.mark.parametrize("cursor", ["", "x"])
def test_a_list_is_malformed_before_its_world_is_missing(session: Session, cursor: str) -> None:
    """The order of all refusals."""
    with pytest.raises(ApiError, match=r"^malformed_request" if cursor else r"^world_not_found"):
        service.newest_dwellers(session, NOTHING, cursor, 50)


def test_a_locked_dweller_is_as_the_lock_found_it(
    session: Session, add: Add, start_blocked: Callable[[Callable[[Session], Any]], Future[Any]]
) -> None:
    """Even where it was read before."""
    dweller = add("Ines")
    service.lock_dweller(session, dweller.id).action_count = 7
    session.flush()

    def read_and_lock(own: Session) -> tuple[int, int]:
        read = service.get_dweller(own, dweller.id)  # stays in the session as long as it has a name
        before = read.action_count
        return before, service.lock_dweller(own, dweller.id).action_count

    waiting = start_blocked(read_and_lock)
    session.commit()
    assert (0, 7) == waiting.result(timeout=10)


def test_dwellers_are_locked_in_the_order_of_their_ids(
    session: Session,
    engine: Engine,
    add: Add,
    start_blocked: Callable[[Callable[[Session], Any]], Future[Any]],
) -> None:
    """However they are named: who waits for the lowest has locked none of the others."""
    low, high = sorted((add("Ines"), add("Juri")), key=lambda dweller: dweller.id)
    service.lock_dweller(session, low.id)
    waiting = start_blocked(lambda own: service.lock_dwellers(own, [high.id, low.id]))
    with Session(engine) as other:
        unlocked = other.scalars(select(Dweller.id).with_for_update(skip_locked=True)).all()
    session.commit()
    assert [high.id] == unlocked
    assert [low.id, high.id] == list(waiting.result(timeout=10))
