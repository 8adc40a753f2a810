"""Two clients at once, under every schedule of their statements with at most so many preemptions."""

import pytest
from bookings import service
from bookings.models import Room
from pgdst import Exhaustive, Simulation
from sqlalchemy.orm import Session

from tests.client import Backend, Wish


def book_at_once(backend: Backend, simulation: Simulation, preemptions: int) -> None:
    """Let ada and bob book a room for overlapping times, a new room under each schedule."""
    simulation.attach(backend.engine)
    schedules = Exhaustive(preemptions)
    for number, schedule in enumerate(schedules):
        room = backend.add_room(f"room {number}")
        simulation.spawn("ada", backend.book, Wish(room, "ada", 9, 11, "ada's"))
        simulation.spawn("bob", backend.book, Wish(room, "bob", 10, 12, "bob's"))
        result = simulation.run(schedule)
        statuses = sorted(result.value(guest).status_code for guest in ("ada", "bob"))
        assert 1 == len(backend.guests(room)), "the room is booked twice"
        assert [201, 409] == statuses
    assert schedules.is_exhausted


def read_room(session: Session, room_id: int) -> Room | None:
    """Return the room as `service.lock_room` does, but without a lock."""
    return session.get(Room, room_id)


def test_two_guests_never_have_a_room_at_once(backend: Backend, simulation: Simulation) -> None:
    book_at_once(backend, simulation, preemptions=2)


def test_a_room_that_is_not_locked_is_found_booked_twice(
    backend: Backend, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive version checks whether the room is free, then books it."""
    monkeypatch.setattr(service, "lock_room", read_room)
    with pytest.raises(AssertionError, match="the room is booked twice"):
        book_at_once(backend, simulation, preemptions=1)
