"""A failing schedule made small: fewest clients, faults and preemptions."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Final

from pgdst.errors import ConfigurationError, ScheduleError
from pgdst.simulation.explore.exploration import Exploration, Failure
from pgdst.simulation.explore.search import Attempt, default
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy

SHRINK_SECONDS: Final = 1.0


class Following:
    """A strategy that follows a list of turns as far as it can: a turn lasts until the next one's client can go on."""

    def __init__(self, turns: Sequence[tuple[str, int]]) -> None:
        self._turns = list(turns)

    def choose(self, point: ChoicePoint) -> int:
        """Return the candidate whose turn it is, else the default."""
        while self._turns:
            name, steps = self._turns[0]
            if steps == 0 or name not in point.candidates:
                self._turns.pop(0)
                continue
            self._turns[0] = (name, steps - 1)
            return point.candidates.index(name)
        return default(point)


def shrink(failure: Failure, exploration: Exploration, *, keep_clients: bool) -> Failure:
    """Return the smallest failure that is found within a second.

    Smaller is one with fewer clients, then fewer faults, then fewer turns, then fewer steps. `keep_clients` keeps all
    of the clients. Raises: InconclusiveError.
    """
    ends_at = time.monotonic() + SHRINK_SECONDS
    smallest, is_done = failure, False
    while not is_done:
        is_done = True
        for strategy, faults, names in _smaller(smallest, keep_clients=keep_clients):
            if time.monotonic() > ends_at:
                return smallest
            found = None
            with suppress(ScheduleError, ConfigurationError):  # it does not fit, or a client alone sends nothing
                if exploration.may_be_alone(names):
                    found = exploration.run(Attempt(strategy, faults, inside=failure.inside), names)
            if found is not None and _size(found) < _size(smallest):
                smallest, is_done = found, False
                break
    return smallest


def _size(failure: Failure) -> tuple[int, int, int, int]:
    turns = turns_of(failure.schedule)
    return len(failure.clients), len(failure.schedule.faults), len(turns), len(failure.schedule.clients)


def turns_of(schedule: Schedule) -> list[tuple[str, int]]:
    """Return who goes on for how many steps, in order."""
    return [(name, len(list(steps))) for name, steps in groupby(schedule.clients)]


def _smaller(failure: Failure, *, keep_clients: bool) -> Iterator[tuple[Strategy, Faults | None, tuple[str, ...]]]:
    schedule, turns = failure.schedule, turns_of(failure.schedule)
    if schedule.faults:
        for step in schedule.faults:
            fewer = Schedule(schedule.clients, {at: kind for at, kind in schedule.faults.items() if at != step})
            yield fewer, fewer, failure.clients
        return
    if not keep_clients and len(failure.clients) > 1:
        for name in failure.clients:
            others = tuple(one for one in failure.clients if one != name)
            yield Following([turn for turn in turns if turn[0] != name]), None, others
    for index in range(len(turns) - 1):
        name, steps = turns[index]
        yield Following([*turns[:index], *turns[index + 1 :]]), None, failure.clients
        for later in range(index + 1, len(turns)):
            if turns[later][0] == name:  # what the client does later, it does now
                merged = [
                    *turns[:index],
                    (name, steps + turns[later][1]),
                    *turns[index + 1 : later],
                    *turns[later + 1 :],
                ]
                yield Following(merged), None, failure.clients
                break
