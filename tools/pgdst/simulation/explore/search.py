"""The search: all schedules without a preemption, then with one, two …, then random ones.

Source: Musuvathi and Qadeer, Iterative Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pgdst.errors import ScheduleError
from pgdst.simulation.clients.yield_points import BEGINS
from pgdst.simulation.explore.footprints import Footprints
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.strategies.pct import PCT
from pgdst.simulation.strategies.strategy import ChoicePoint, Patience, Strategy
from pgdst.simulation.strategies.uniform import Uniform

EACH: Final = "each"
PCT_DEPTH: Final = 3
# Shares of the runs after which the search goes on with the next kind of attempts, and the bound inside statements.
BOUNDED: Final = 0.5
BOUNDED_INSIDE: Final = 0.75
MOST_INSIDE: Final = 1
RANDOM_BESIDE: Final = 4  # random runs where orders were left out

# What bugs most often come of is tried first, and what takes longest last.
_FIRST: Final = (Fault.COMMIT_DONE, Fault.COMMIT_UNDONE)
_ORDER: Final = (*_FIRST, *(kind for kind in Fault if kind not in (*_FIRST, Fault.CRASH)), Fault.CRASH)

FaultsOf = Callable[[int], Faults]


class Walk:
    """A strategy that takes the given choices, and then the default at each choice, and notes where it had one.

    The default lets the same client go on, until its `Patience` is over; a client that sleeps goes on only where no
    other can.
    """

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self._given = tuple(choices)
        self.points: list[ChoicePoint] = []
        self.choices: list[int] = []
        self._patience = Patience()

    def choose(self, point: ChoicePoint) -> int:
        """Return the given choice, or the default. Raises: ScheduleError, where the given one does not exist."""
        number = len(self.points)
        choice = self._given[number] if number < len(self._given) else self._fair(point)
        if choice >= len(point.candidates):
            raise ScheduleError(
                f"The scenario is not the same each time: step {point.step} had a choice {choice}, and has only "
                f"{', '.join(point.candidates)}."
            )
        self.points.append(point)
        self.choices.append(choice)
        return choice

    def _fair(self, point: ChoicePoint) -> int:
        """Return the default, or another client where the same one has gone on for too long."""
        choice = self.default(point)
        return len(point.candidates) - 1 if self._patience.is_over(point.candidates[choice]) else choice

    def default(self, point: ChoicePoint) -> int:
        """Return who goes on where no choice is given."""
        return default(point)


def default(point: ChoicePoint) -> int:
    """Return the first candidate that is not asleep, else the first."""
    awake = [index for index, name in enumerate(point.candidates) if name not in point.sleeping]
    return awake[0] if awake else 0


@dataclass(order=True)
class _Ahead:
    preemptions: int
    number: int
    choices: tuple[int, ...] = field(compare=False)


class Bounded:
    """All schedules by their number of preemptions, the fewest first; of independent steps only one order.

    A preemption matters only before a step that some step of another client does not commute with: before any other
    step, it gives what a preemption behind that step gives. `preemptions` is the bound up to which all were tried.
    """

    def __init__(
        self,
        clients: Sequence[str],
        footprints: Footprints,
        *,
        leaves_out: bool,
        most_preemptions: int | None = None,
        known: Sequence[Walk] = (),
    ) -> None:
        self._clients = clients
        self._walks = known  # of runs that were made before
        self._leaves_out = leaves_out
        self._most = most_preemptions
        self._footprints = footprints
        self._ahead = [_Ahead(0, 0, ())]
        self._number = 0
        self._bound = 0
        self._made: list[tuple[_Ahead, Walk]] = []
        self._known: set[tuple[int, ...]] = set()
        self.has_left_out = False  # orders of steps that commute, as far as was seen

    @property
    def is_exhausted(self) -> bool:
        """Whether no schedule is left."""
        return not self._ahead

    @property
    def preemptions(self) -> int:
        """All schedules with at most so many preemptions were run; -1: not even those without one."""
        return self._bound if self.is_exhausted else self._ahead[0].preemptions - 1

    def __iter__(self) -> Iterator[Walk]:
        """Yield walks. Each must be run before the next one is asked for."""
        while self._ahead and (self._most is None or self._ahead[0].preemptions <= self._most):
            now = heapq.heappop(self._ahead)
            self._bound = now.preemptions
            version = self._footprints.version
            if (walk := self._known_walk(now.choices)) is None:
                walk = Walk(now.choices)
                yield walk
            self._made.append((now, walk))
            # What was learned in this run may conflict with what was left out before.
            for made in self._made if self._footprints.version != version else [(now, walk)]:
                self._branch(*made)

    def _known_walk(self, choices: tuple[int, ...]) -> Walk | None:
        """Return a walk that was made before, if these choices and the default after them make the same run."""
        for walk in self._walks:
            rest = zip(walk.points[len(choices) :], walk.choices[len(choices) :], strict=True)
            if tuple(walk.choices[: len(choices)]) == choices and all(taken == default(point) for point, taken in rest):
                return walk
        return None

    def _branch(self, now: _Ahead, walk: Walk) -> None:
        for index in range(len(now.choices), len(walk.points)):
            point, taken = walk.points[index], walk.choices[index]
            for choice, name in enumerate(point.candidates):
                is_preemption = point.can_stay and choice != 0 and point.candidates[0] not in point.sleeping
                ahead = (*walk.choices[:index], choice)
                if choice == taken or name in point.sleeping or ahead in self._known:
                    continue
                may_only_begin = not self._leaves_out or self._footprints.share_a_pool
                if is_preemption and not may_only_begin and _has_only_begun(walk, index):
                    continue  # it gives what comes of letting the other client begin
                if not self._matters(point, is_preemption):
                    self.has_left_out = True
                    continue
                self._known.add(ahead)
                self._number += 1
                heapq.heappush(self._ahead, _Ahead(now.preemptions + is_preemption, self._number, ahead))

    def _matters(self, point: ChoicePoint, is_preemption: bool) -> bool:
        if not self._leaves_out:
            return True
        if is_preemption:
            return self._footprints.may_conflict(point.candidates[0], point.at[0], self._clients)
        return self._footprints.any_conflict(point)


def _has_only_begun(walk: Walk, index: int) -> bool:
    """Return whether the client that a choice would preempt has done nothing but begin, in the step before."""
    if index == 0:
        return False
    before, taken = walk.points[index - 1], walk.choices[index - 1]
    return before.at[taken] == BEGINS and before.step + 1 == walk.points[index].step


@dataclass(frozen=True)
class Attempt:
    """A run to be made: who goes on, which faults hit, and whether statements are stopped inside."""

    strategy: Strategy
    faults: Faults | None = None
    inside: bool = False


class Progress(Protocol):
    """What the search asks of the exploration that makes its attempts."""

    runs: int
    steps: int
    serial_walks: list[Walk]


@dataclass
class Search:
    """The attempts of one exploration, in order; `schedules` is how many runs there may be in all."""

    clients: tuple[str, ...]
    footprints: Footprints
    schedules: int
    faults: FaultsOf | str | None
    kinds: tuple[Fault, ...]
    seed: int
    inside: bool
    leaves_out: bool
    _bounded: Bounded | None = None

    @property
    def preemptions(self) -> int:
        """All schedules with at most so many preemptions were tried, without stops inside statements."""
        return self._bounded.preemptions if self._bounded is not None else -1

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no other schedule, without stops inside statements."""
        return self._bounded is not None and self._bounded.is_exhausted

    def attempts(self, progress: Progress) -> Iterator[Attempt]:
        """Yield attempts. Each must be made before the next one is asked for."""
        self._bounded = Bounded(self.clients, self.footprints, leaves_out=self.leaves_out, known=progress.serial_walks)
        yield from self._within(self._bounded, progress, BOUNDED, inside=False)
        if self.faults == EACH:
            yield from self._each_fault()
        if self.inside:
            bounded = Bounded(self.clients, self.footprints, leaves_out=self.leaves_out, most_preemptions=MOST_INSIDE)
            yield from self._within(bounded, progress, BOUNDED_INSIDE, inside=True)
        drawn = self.faults if callable(self.faults) else None
        most = self.schedules
        if drawn is None and self.is_exhausted:  # a few, as what commutes was seen, and not proved
            most = min(most, progress.runs + RANDOM_BESIDE * self._bounded.has_left_out)
        walks = enumerate(random_walks(self.seed, progress.steps))
        while progress.runs < most:
            number, strategy = next(walks)
            yield Attempt(strategy, drawn and drawn(self.seed + number), inside=self.inside and number % 4 > 1)

    def _within(self, bounded: Bounded, progress: Progress, share: float, *, inside: bool) -> Iterator[Attempt]:
        walks = iter(bounded)
        while progress.runs < self.schedules * share and (walk := next(walks, None)) is not None:
            yield Attempt(walk, inside=inside)

    def _each_fault(self) -> Iterator[Attempt]:
        """Yield every single fault at every step of one serial run: the faults of a COMMIT first, crashes last."""
        possible = _Possible()
        yield Attempt(Walk(), possible)
        for kind in sorted(self.kinds, key=_ORDER.index):
            for step, able in possible.at.items():
                if kind in able:
                    yield Attempt(Walk(), SingleFault(step, kind))


class SingleFault:
    """One fault, at one step."""

    def __init__(self, step: int, kind: Fault) -> None:
        self._step, self._kind = step, kind

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault at its step, where it is possible."""
        return self._kind if step == self._step and self._kind in possible else None


class _Possible:
    """Injects nothing, and notes which faults each step could have."""

    def __init__(self) -> None:
        self.at: dict[int, tuple[Fault, ...]] = {}

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        self.at[step] = tuple(possible)
        return None


def random_walks(seed: int, steps: int) -> Iterator[Strategy]:
    """Yield strategies without end: PCT and uniform ones in turn, for runs of about so many steps."""
    while True:
        yield PCT(seed, PCT_DEPTH, max(1, steps))
        yield Uniform(seed)
        seed += 1
