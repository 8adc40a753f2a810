"""Who goes on: the choices of a schedule, drawn, random, by priorities, one after another, or written down.

A choice is a number: 0 lets the same client go on, the others follow in a fixed order. So a schedule of zeros runs one
client after another, and each number above zero, where the same client could have gone on, is a preemption.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import Protocol

from pgdst.errors import ScheduleError
from pgdst.simulation.faults import ALL, Fault


@dataclass(frozen=True)
class ChoicePoint:
    """A place where the schedule has a choice.

    `candidates` are the clients who can go on; where `can_stay`, the first is the one that took the last step.
    """

    step: int  # from 1
    candidates: tuple[str, ...]
    can_stay: bool


class Strategy(Protocol):
    """Chooses at each point where there are two candidates or more."""

    def choose(self, point: ChoicePoint) -> int:
        """Return the index of the candidate that takes the next step."""


class Drawn:
    """Choices drawn from a source such as Hypothesis, which shrinks towards few numbers and small ones.

    What is drawn is for how many choices a client goes on, 0 standing for as long as it can, and who comes after it:
    each preemption takes two numbers, so that the smallest run has the fewest. A number for each step would have it
    prefer the latest. `draw(n)` returns a number from 0 to n.
    """

    LONGEST = 12  # choices; who goes on for so long draws again then

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._running: str | None = None
        self._left = 0  # choices until it is preempted; 0 for never
        self._draws_again = False  # instead of being preempted

    def choose(self, point: ChoicePoint) -> int:
        """Return 0 while the client goes on, else who comes next."""
        if not point.can_stay:
            return self._switch(point, first=0)
        if point.candidates[0] != self._running:  # nobody else could go on when it began
            self._begin(point.candidates[0])
        if self._left == 0:
            return 0
        self._left -= 1
        if self._left:
            return 0
        if self._draws_again:
            self._begin(point.candidates[0])
            return 0
        return self._switch(point, first=1)

    def _switch(self, point: ChoicePoint, first: int) -> int:
        last = len(point.candidates) - 1
        index = first + (self._draw(last - first) if last > first else 0)
        self._begin(point.candidates[index])
        return index

    def _begin(self, client: str) -> None:
        self._running = client
        self._left = self._draw(self.LONGEST)
        self._draws_again = self._left == self.LONGEST


class Uniform:
    """Each candidate as likely as any other."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # seeded random is the point

    def choose(self, point: ChoicePoint) -> int:
        """Draw the index."""
        return self._random.randrange(len(point.candidates))


class PCT:
    """Probabilistic concurrency testing: a random order of the clients, changed at depth - 1 random steps.

    A bug that needs `depth` steps in a certain order is found with a probability of at least 1 / (n * steps ** (depth -
    1)) a run, for n clients and a run of so many steps.
    Source: Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010.
    """

    def __init__(self, seed: int, depth: int, steps: int) -> None:
        if depth < 1 or steps < 1:
            raise ScheduleError(f"PCT needs a depth and a number of steps from 1 on, found {depth} and {steps}.")
        self._random = Random(seed)  # noqa: S311  # seeded random is the point
        self._changes = {self._random.randint(1, steps): -change for change in range(1, depth)}
        self._priorities: dict[str, float] = {}
        self._last_step = 0

    def choose(self, point: ChoicePoint) -> int:
        """Return who has the highest priority; at a change, who had it falls below all others first."""
        for candidate in sorted(point.candidates):
            self._priorities.setdefault(candidate, self._random.random())
        # Steps without a choice are passed over, and a change among them is due now.
        for step in sorted(self._changes):
            if step <= point.step:
                highest = max(point.candidates, key=self._priorities.__getitem__)
                self._priorities[highest] = self._changes.pop(step)
        return max(range(len(point.candidates)), key=lambda index: self._priorities[point.candidates[index]])


class Exhaustive:
    """All schedules with at most so many preemptions, one strategy after another.

    Each is a new run of the same scenario. `is_exhausted` says afterwards whether all were tried, or the iteration was
    left before; a scenario that is not the same each time is an error, not a miss.
    """

    def __init__(self, preemptions: int) -> None:
        if preemptions < 0:
            raise ScheduleError(f"The bound on preemptions must be 0 or more, found {preemptions}.")
        self._bound = preemptions
        self.is_exhausted = False

    def __iter__(self) -> Iterator[Strategy]:
        """Yield strategies until every schedule within the bound has been run."""
        path: list[_Fork] = []
        while True:
            walk = _Walk(path, self._bound)
            yield walk
            walk.require_end()
            while path and path[-1].chosen + 1 >= path[-1].choices(self._bound):
                path.pop()
            if not path:
                self.is_exhausted = True
                return
            path[-1].chosen += 1


@dataclass
class _Fork:
    point: ChoicePoint
    preemptions: int  # before it
    chosen: int = 0

    def choices(self, bound: int) -> int:
        return 1 if self.point.can_stay and self.preemptions >= bound else len(self.point.candidates)


class _Walk:
    def __init__(self, path: list[_Fork], bound: int) -> None:
        self._path, self._bound = path, bound
        self._at = 0
        self._preemptions = 0

    def choose(self, point: ChoicePoint) -> int:
        if self._at == len(self._path):
            self._path.append(_Fork(point, self._preemptions))
        fork = self._path[self._at]
        if fork.point != point:
            raise ScheduleError(
                f"The scenario is not the same each time: {point} after the choices that led to {fork.point}."
            )
        self._at += 1
        self._preemptions += point.can_stay and fork.chosen > 0
        return fork.chosen

    def require_end(self) -> None:
        if self._at < len(self._path):
            raise ScheduleError(
                f"The scenario is not the same each time: it ended before {self._path[self._at].point}."
            )


_ENTRY = re.compile(r"(?P<client>[A-Za-z_][\w.-]*)(\*(?P<times>[1-9]\d*)|!(?P<fault>[a-z-]+))?")


@dataclass(frozen=True)
class Schedule:
    """Who took each step of a run, in text `ada*3 bob!crash ada`; as a strategy, and as faults, the same again.

    Where it ends before the run does, the same client goes on. Unlike others it is also asked where one client alone
    can go on: whom it names there, and strikes, must be that client.
    """

    clients: Sequence[str]
    faults: Mapping[int, Fault] = field(default_factory=dict)  # by the steps that they strike

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Return the schedule that was written down. Raises: ScheduleError."""
        clients: list[str] = []
        faults: dict[int, Fault] = {}
        for entry in text.split():
            found = _ENTRY.fullmatch(entry)
            if not found or found["fault"] not in (None, *ALL):
                raise ScheduleError(
                    f"{entry!r} is no part of a schedule. Write clients, how often, and what strikes them: ada*3 "
                    f"bob!crash ada. The faults are {', '.join(ALL)}."
                )
            clients += [found["client"]] * int(found["times"] or 1)
            if found["fault"]:
                faults[len(clients)] = Fault(found["fault"])
        return cls(tuple(clients), faults)

    def __str__(self) -> str:
        """Return it as text, which `parse` reads."""
        struck = (
            f"{client}!{self.faults[at]}" if at in self.faults else client for at, client in enumerate(self.clients, 1)
        )
        return " ".join(part for entry, steps in groupby(struck) for part in _written(entry, len(list(steps))))

    def strike(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that strikes at this step. Raises: ScheduleError, where it cannot."""
        fault = self.faults.get(step)
        if fault is not None and fault not in possible:
            able = ", ".join(possible) or "none"
            raise ScheduleError(f"Step {step} of the schedule has {fault}, but only these can strike: {able}.")
        return fault

    def choose(self, point: ChoicePoint) -> int:
        """Return the index of who took this step. Raises: ScheduleError, where that client cannot go on now."""
        if point.step > len(self.clients):
            return 0
        wanted = self.clients[point.step - 1]
        if wanted not in point.candidates:
            able = ", ".join(point.candidates)
            raise ScheduleError(f"Step {point.step} of the schedule is {wanted}'s, but only these can go on: {able}.")
        return point.candidates.index(wanted)


def _written(entry: str, times: int) -> list[str]:
    if "!" in entry:
        return [entry] * times
    return [entry if times == 1 else f"{entry}*{times}"]
