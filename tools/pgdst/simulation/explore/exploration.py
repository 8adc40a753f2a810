"""One run after another of the same clients, each on the database as it was, and what is wrong with it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, permutations
from typing import Any, Final

from sqlalchemy import Connection

from pgdst.errors import ConfigurationError, HangError
from pgdst.simulation.explore.footprints import Footprints
from pgdst.simulation.explore.rewound_database import RewoundDatabase, WornError
from pgdst.simulation.explore.search import Attempt, Walk
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.report.statements import locks_rows
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import ChoicePoint

Check = Callable[[Connection], object]

_MOST_ORDERS: Final = 24  # serial orders that are run where there is a check
_DOES_NOT_HOLD: Final = "The check does not hold"


@dataclass(frozen=True)
class Failure:
    """A run that went wrong, and how. `result` is the run as far as it came where it hung."""

    wrong: str
    schedule: Schedule
    result: Result
    clients: tuple[str, ...]
    inside: bool


@dataclass(frozen=True)
class Expected:
    """What is right: `check`, or what serial orders give but for `ignored` columns; and the SQLSTATEs that may come."""

    check: Check | None
    ignored: frozenset[str]
    errors: frozenset[str]


@dataclass
class Serial:
    """What some clients did in all serial orders: the outcomes, and the errors among them."""

    outcomes: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)


@dataclass
class Exploration:
    """Runs of clients, each called with the engine, on a database that is rewound before each run."""

    simulation: Simulation
    database: RewoundDatabase
    engine: Any
    functions: Mapping[str, Callable[[Any], Any]]
    expected: Expected
    footprints: Footprints
    runs: int = 0
    steps: int = 0  # of the longest run
    locks_rows: bool = False  # by a SELECT
    serial_walks: list[Walk] = field(default_factory=list)  # those of the first clients whose serial orders were run
    _serial: dict[tuple[str, ...], Serial] = field(default_factory=dict)

    def run(self, attempt: Attempt, clients: tuple[str, ...]) -> Failure | None:
        """Run clients once; return what is wrong, if anything is. Raises: InconclusiveError, ScheduleError."""
        try:
            result = self._run(attempt, clients)
        except HangError as error:
            return _hung(error, attempt, clients)
        wrong = self._wrong(result, clients)
        return Failure(wrong, result.schedule, result, clients, attempt.inside) if wrong else None

    def run_in_serial_orders(self, clients: tuple[str, ...]) -> Failure | None:
        """Run clients one after another, in all orders, and remember what they did; return the first failure.

        Raises: ConfigurationError, where none of them sends anything; InconclusiveError.
        """
        is_first = not self._serial
        serial = self._serial[clients] = Serial()
        for order in islice(permutations(clients), None if self.expected.check is None else _MOST_ORDERS):
            walk = _InOrder(order)
            attempt = Attempt(walk)
            try:
                result = self._run(attempt, clients)
            except HangError as error:
                return _hung(error, attempt, clients)
            _require_statements(result)
            if is_first:
                self.serial_walks.append(walk)
            serial.errors |= {str(outcome) for outcome in result.outcomes.values() if outcome.error is not None}
            if self.expected.check is None:
                outcome = self._outcome(result, clients)
                if not serial.outcomes:
                    self._require_the_same_again(outcome, Attempt(_InOrder(order)), clients)
                serial.outcomes.add(outcome)
            elif wrong := self._wrong(result, clients):
                return Failure(wrong, result.schedule, result, clients, inside=False)
        return None

    def _require_the_same_again(self, outcome: str, attempt: Attempt, clients: tuple[str, ...]) -> None:
        """Raise ConfigurationError, where a serial order run twice has two outcomes: then none can be compared."""
        again = self._outcome(self._run(attempt, clients), clients)
        if again != outcome:
            parts = [one for one in zip(outcome.splitlines(), again.splitlines(), strict=False) if one[0] != one[1]]
            first = "\n".join(parts[0]) if parts else ""
            raise ConfigurationError(
                f"One serial order, run twice, has two outcomes, so none can be compared with another:\n{first}\n"
                "Give explore a check, name such columns in ignored_columns, or return plain values."
            )

    def may_be_alone(self, clients: tuple[str, ...]) -> bool:
        """Return whether a failure of these clients alone says something: in serial orders they do no wrong."""
        return clients in self._serial or self.run_in_serial_orders(clients) is None

    def _run(self, attempt: Attempt, clients: Sequence[str]) -> Result:
        self.runs += 1
        try:
            return self._run_on_the_rewound(attempt, clients)
        except WornError:
            return self._run_on_the_rewound(attempt, clients)

    def _run_on_the_rewound(self, attempt: Attempt, clients: Sequence[str]) -> Result:
        self.database.prepare()
        self.footprints.begin_run()
        self.simulation.clock.restart()
        for name in clients:
            self.simulation.spawn(name, self.functions[name], self.engine)
        result = self.simulation.run(
            attempt.strategy,
            attempt.faults,
            before=self.database.rewind,
            inside=attempt.inside,
            observe=self.footprints.see if attempt.faults is None else None,
        )
        self.steps = max(self.steps, len(result.schedule.clients))
        self.locks_rows = self.locks_rows or any(locks_rows(step.statement) for step in result.steps)
        if Fault.CRASH in result.schedule.faults.values():
            self.database.has_crashed()
        return result

    def _outcome(self, result: Result, clients: Sequence[str]) -> str:
        outcomes = [(name, result.outcomes[name]) for name in sorted(clients)]
        returned = [f"{name} {outcome}: {outcome.value!r}" for name, outcome in outcomes]
        return "\n".join([*returned, self.database.contents(self.expected.ignored)])

    def _wrong(self, result: Result, clients: tuple[str, ...]) -> str:
        """Return what is wrong with a run, or nothing."""
        serial = self._serial[clients]
        failed = {name: one for name, one in result.outcomes.items() if one.error and str(one) not in serial.errors}
        if not result.schedule.faults:
            for name, outcome in failed.items():
                if not any(str(outcome).endswith(f" {state}") for state in self.expected.errors):
                    assert outcome.error is not None
                    return f"{name} {outcome}, as in no serial order: {_first_line(outcome.error)}"
        if self.expected.check is not None:
            return self._against_the_check(self.expected.check)
        done = tuple(name for name in clients if name not in failed)
        outcome_now = self._outcome(result, done)  # a client that failed has done nothing
        outcomes = self._outcomes_of(done)
        return "" if outcome_now in outcomes else _unlike(outcome_now, outcomes)

    def _outcomes_of(self, clients: tuple[str, ...]) -> set[str]:
        """Return the outcomes of all serial orders of these clients."""
        if clients not in self._serial and (failure := self.run_in_serial_orders(clients)) is not None:
            return {failure.wrong}
        return self._serial[clients].outcomes

    def _against_the_check(self, check: Check) -> str:
        try:
            holds = self.database.ask(check)
            if inspect.isawaitable(holds):
                raise ConfigurationError("check returned something to await. Give explore a plain function.")
        except AssertionError as error:
            return f"{_DOES_NOT_HOLD}: {error}" if str(error) else f"{_DOES_NOT_HOLD}."
        return "" if holds is None or holds else f"{_DOES_NOT_HOLD}."


def _hung(error: HangError, attempt: Attempt, clients: tuple[str, ...]) -> Failure:
    who_waits = str(error).splitlines()[1:-1]  # between why the run has no result, and its schedule
    wrong = "\n".join(["No client can ever go on.", *who_waits])
    return Failure(wrong, error.result.schedule, error.result, clients, attempt.inside)


class _InOrder(Walk):
    """One client after another, in an order; one that sleeps waits for the others."""

    def __init__(self, order: Sequence[str]) -> None:
        super().__init__()
        self._order = order

    def default(self, point: ChoicePoint) -> int:
        """Return the first in the order of those that are awake."""
        awake = [name for name in point.candidates if name not in point.sleeping] or point.candidates
        return point.candidates.index(min(awake, key=self._order.index))


def _require_statements(result: Result) -> None:
    if all(step.what in ("begins", "ends") for step in result.steps):
        raise ConfigurationError(
            "No client sent anything through the engine that explore was given, so there is nothing to explore. "
            "Let the clients use the engine that they are called with."
        )


def _unlike(found: str, serial: set[str]) -> str:
    orders = "\n\nor\n\n".join(sorted(serial))
    return f"No serial order of the clients gives this outcome:\n\n{found}\n\nSerial orders give:\n\n{orders}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
