"""A state machine of guests, one at a time or two at once: the database always equals the model."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
from bookings import service
from hypothesis import Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pgdst import SEED_ONLY, Concurrently, Coverage, Databases, Simulation, Trace
from sqlalchemy import text

from tests.client import Wish, serving
from tests.test_faults import FAULTS
from tests.test_two_clients import read_room

EXAMPLES, STEPS = 20, 10
SOMETIMES = ("a booking", "a refusal", "a cancellation", "two at once, both booked", "two at once, one refused")
ROOMS = (1, 2)
TIMES = st.tuples(st.sampled_from(ROOMS), st.integers(8, 12), st.integers(1, 3))  # a room, the first hour, hours
BOOKED = text("SELECT idempotency_key, id FROM bookings WHERE NOT is_cancelled")


@dataclass
class Model:
    """All bookings that were made, and the ids of those that are not cancelled, by idempotency keys."""

    made: dict[str, Wish] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)

    def statuses(self, *wishes: Wish) -> tuple[int, ...]:
        """Return the expected statuses of new wishes that are sent one after another."""
        taken, statuses = [self.made[key] for key in self.booked], []
        for wish in wishes:
            is_free = not any(wish.overlaps(other) for other in taken)
            statuses.append(201 if is_free else 409)
            taken += [wish] if is_free else []
        return tuple(statuses)


class Guests(Concurrently, RuleBasedStateMachine):
    """Guests of two rooms, with a clean database for each example."""

    def __init__(self, databases: Databases, simulation: Simulation, trace: Trace, coverage: Coverage) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.backend = self.opened.enter_context(serving(self.opened.enter_context(databases.lend())))
        self.simulation, self.trace, self.coverage = simulation, trace, coverage
        self.simulation.attach(self.backend.engine)
        self.opened.callback(self.simulation.close)
        self.model, self.numbers = Model(), count()
        assert ROOMS == tuple(self.backend.add_room(f"room {number}") for number in ROOMS)

    def teardown(self) -> None:
        """Close the application and give the database back."""
        self.opened.close()

    @rule(time=TIMES)
    def book(self, time: tuple[int, int, int]) -> None:
        """A guest books a room."""
        wish = self.wish("cyd", time)
        [expected] = self.model.statuses(wish)
        self.note(wish, self.backend.book(wish), expected)
        self.coverage.sometimes("a booking", expected == 201)
        self.coverage.sometimes("a refusal", expected == 409)

    @precondition(lambda self: self.model.made)
    @rule(data=st.data())
    def send_a_request_again(self, data: st.DataObject) -> None:
        """A booking that was cancelled meanwhile stays cancelled."""
        wish = data.draw(st.sampled_from(list(self.model.made.values())))
        assert 201 == self.backend.book(wish).status_code

    @precondition(lambda self: self.model.booked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A guest cancels a booking."""
        key = data.draw(st.sampled_from(list(self.model.booked)))
        assert 200 == self.backend.client.delete(f"/bookings/{self.model.booked.pop(key)}").status_code
        self.coverage.sometimes("a cancellation", True)

    @rule(data=st.data(), adas=TIMES, bobs=TIMES)
    def two_guests_at_once(self, data: st.DataObject, adas: tuple[int, int, int], bobs: tuple[int, int, int]) -> None:
        """Under any faults, the answers are those of one order of the two requests."""
        ada, bob, ask = self.wish("ada", adas), self.wish("bob", bobs), self.backend.book_until_answered
        possible = {self.model.statuses(ada, bob), self.model.statuses(bob, ada)[::-1]}
        result = self.concurrently(data, faults=FAULTS, ada=lambda: ask(ada), bob=lambda: ask(bob))
        self.trace.extend(result.trace)
        answers = result.value("ada"), result.value("bob")
        statuses = tuple(answer.status_code for answer in answers)
        assert statuses in possible, f"{statuses} are the answers of neither order"
        for wish, answer in zip((ada, bob), answers, strict=True):
            self.note(wish, answer, answer.status_code)
        self.coverage.sometimes("two at once, both booked", statuses == (201, 201))
        self.coverage.sometimes("two at once, one refused", sorted(statuses) == [201, 409])

    @invariant()
    def the_bookings_are_those_of_the_model(self) -> None:
        """A booking is in the database if and only if its guest was told of it and has not cancelled it."""
        with self.backend.engine.connect() as connection:
            assert self.model.booked == {row[0]: row[1] for row in connection.execute(BOOKED)}

    def wish(self, guest: str, time: tuple[int, int, int]) -> Wish:
        """Return a wish with a key of its own."""
        room, begin, hours = time
        return Wish(room, guest, begin, begin + hours, f"{guest}'s {next(self.numbers)}")

    def note(self, wish: Wish, answer: Any, expected: int) -> None:
        """Check the status, append the answer to the trace, and update the model."""
        self.trace.append(f"{wish} -> {answer.status_code}")
        assert expected == answer.status_code
        if expected == 201:
            self.model.made[wish.key] = wish
            self.model.booked[wish.key] = answer.json()["id"]


def run_guests(
    databases: Databases,
    new_simulation: Callable[[], Simulation],
    number: int,
    chosen: settings,
    trace: Trace,
    coverage: Coverage,
) -> None:
    """Run the machine. Its choices depend on `number`, the seed, alone."""
    coverage.declare(states=SOMETIMES)

    def machine() -> Guests:
        return Guests(databases, new_simulation(), trace, coverage)

    alone = settings(chosen, backend=SEED_ONLY, database=None, deadline=None, stateful_step_count=STEPS)
    run_state_machine_as_test(seed(number)(machine), settings=alone)  # type: ignore[arg-type]  # as good as a class


def test_the_bookings_are_those_of_the_model(
    clean_databases: Databases,
    new_simulation: Callable[[], Simulation],
    pgdst_seed: int,
    run_trace: Trace,
    run_coverage: Coverage,
    pytestconfig: pytest.Config,
) -> None:
    """With `run_trace` and `run_coverage`, pytest prints the seed, the run's hash and its coverage at the end."""
    examples = pytestconfig.option.pgdst_examples
    run_coverage.must_reach_everything = examples is None  # else a machine that does nothing would pass
    chosen = settings(max_examples=examples or EXAMPLES)
    run_guests(clean_databases, new_simulation, pgdst_seed, chosen, run_trace, run_coverage)


def test_a_room_that_is_not_locked_is_found(
    clean_databases: Databases,
    new_simulation: Callable[[], Simulation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "lock_room", read_room)
    chosen = settings(max_examples=200, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="the answers of neither order"):
        run_guests(clean_databases, new_simulation, 8, chosen, Trace(), Coverage())
