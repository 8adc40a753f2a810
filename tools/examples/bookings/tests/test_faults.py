"""The database fails in the middle of a request. The client can't know whether it was done, and sends it again."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from bookings import service
from pgdst import Exhaustive, Fault, Simulation

from tests.client import Backend, Wish

FAULTS = (Fault.LOST, Fault.COMMIT_UNDONE, Fault.COMMIT_DONE, Fault.TERMINATED, Fault.DEADLOCK, Fault.DISK_FULL)


@dataclass
class Once:
    """A fault that is injected at the first step at which it is possible, and never again."""

    fault: Fault
    has_struck: bool = False

    def inject(self, _step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault, the first time that it is possible."""
        if self.has_struck or self.fault not in possible:
            return None
        self.has_struck = True
        return self.fault


def book_in_spite_of(fault: Fault, backend: Backend, simulation: Simulation) -> None:
    """Let ada and bob book a room, one after the other in both orders. Each retries until there is an answer."""
    simulation.attach(backend.engine)
    for number, schedule in enumerate(Exhaustive(preemptions=0)):
        room, once = backend.add_room(f"room {number}"), Once(fault)
        simulation.spawn("ada", backend.book_until_answered, Wish(room, "ada", 9, 10, "ada's"))
        simulation.spawn("bob", backend.book_until_answered, Wish(room, "bob", 10, 11, "bob's"))
        result = simulation.run(schedule, once)
        assert once.has_struck
        for guest in ("ada", "bob"):
            assert 201 == result.value(guest).status_code, f"{guest} has the room and was not told"
        assert ["ada", "bob"] == backend.guests(room)


@pytest.mark.parametrize("fault", FAULTS)
def test_who_asks_again_is_booked_once_and_told_so(backend: Backend, simulation: Simulation, fault: Fault) -> None:
    book_in_spite_of(fault, backend, simulation)


def test_without_a_key_a_guest_is_found_refused_for_a_booking_of_his_own(
    backend: Backend, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive version ignores the key: if COMMIT succeeds and its answer is lost, the retry gets a 409."""
    monkeypatch.setattr(service, "made_by_key", lambda *_: None)
    with pytest.raises(AssertionError, match="has the room and was not told"):
        book_in_spite_of(Fault.COMMIT_DONE, backend, simulation)
