"""`explore`: find a schedule at which something goes wrong, make it small, replay it, and say so."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from pgdst.errors import ScheduleError
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.explore import context
from pgdst.simulation.explore.arguments import require_right
from pgdst.simulation.explore.exploration import Check, Expected, Exploration, Failure
from pgdst.simulation.explore.footprints import Footprints
from pgdst.simulation.explore.rewound_database import RewoundDatabase, Setup
from pgdst.simulation.explore.search import Attempt, FaultsOf, Search
from pgdst.simulation.explore.shrinking import shrink
from pgdst.simulation.faults.kinds import ALL, Fault
from pgdst.simulation.report.explanation import explanation
from pgdst.simulation.report.interleaving import interleaving
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.sqlalchemy import pool
from pgdst.simulation.sqlalchemy.attached_engine import synchronous_side
from pgdst.simulation.strategies.schedule import Schedule

SCHEDULES: Final = 200
REPLAYS: Final = 10


class FoundError(AssertionError):
    """A schedule at which something goes wrong.

    `schedule` gives the run again. `result` is the run, as far as it came where it hung. `wrong` says what is wrong.
    """

    def __init__(self, failure: Failure, told: str) -> None:
        super().__init__(told)
        self.schedule, self.result, self.wrong = failure.schedule, failure.result, failure.wrong


@dataclass(frozen=True)
class Explored:
    """What was tried without finding anything: how many runs, and all schedules up to how many preemptions.

    `locks_rows` says that some SELECT locked rows: between two rows of one, no other client was run.
    """

    runs: int
    preemptions: int
    is_exhausted: bool
    locks_rows: bool = False

    def __str__(self) -> str:
        """Return it in a sentence."""
        tried = f"all with at most {self.preemptions} preemptions"
        if self.is_exhausted:
            tried = "all there are"
        told = f"Nothing found in {self.runs} runs. Schedules, of independent steps in one order: {tried}."
        not_tried = " Not tried: other clients between two rows that one SELECT … FOR UPDATE locks."
        return told + not_tried * self.locks_rows


def explore(
    engine: Any,
    *,
    clients: Mapping[str, Callable[[Any], Any]],
    setup: Setup | None = None,
    check: Check | None = None,
    schedules: int = SCHEDULES,
    faults: FaultsOf | str | None = None,
    kinds: Sequence[Fault] = ALL,
    inside_statements: bool = True,
    ignored_columns: Sequence[str] = (),
    expected_errors: Sequence[str] = (),
    share_state: bool = False,
    clock: SimulatedClock | None = None,
    seed: int = 0,
) -> Explored:
    """Search for a schedule of the clients at which something goes wrong, and fail with it.

    Each run begins alike: the database as it was lent, then `setup(connection)`; sessions as new; the clock at its
    beginning. `clients` are functions or coroutine functions, by name, which are called with the engine.
    `check(connection)` returns whether the run was right, or asserts it. Without one, what the clients return and what
    the tables hold must be what some serial order of the clients gives; `ignored_columns`, as `table.column`, are left
    out (ids and times that differ by order alone). An error that no serial order raises fails as well, but for the
    SQLSTATEs in `expected_errors`. So does a run in which no client can ever go on.

    The search goes through all schedules without preemption, then with one, two …, and then random ones, `schedules`
    in all. With `inside_statements` it also stops statements after their snapshot is taken. `faults="each"` also tries
    every single fault of `kinds` at every step of a serial run; a function of a seed, such as `random_faults`, has
    faults drawn in random runs. Steps that lock different tables are tried in one order only; not so with
    `share_state`, for clients that share more than the database, such as variables or another service, nor where a
    function of the database catches errors.

    Raises: FoundError (an AssertionError) with the smallest failure, replayed ten times; ConfigurationError where the
    database was not lent by the kit, or no client sends anything; InconclusiveError.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    words = {"expected_errors": expected_errors, "ignored_columns": ignored_columns}
    require_right(clients, setup, check, schedules, faults, words)
    present = context.current()
    name = synchronous_side(engine).url.database or ""
    names = tuple(clients)
    with ExitStack() as restored, ExitStack() as opened:
        present.require_lent(name)
        simulation = Simulation(
            present.processes(), clock=clock, inside_statements=inside_statements, connections=len(clients)
        )
        opened.callback(simulation.close)
        simulation.locates_code = False  # until something is found
        pool.dispose(engine, simulation.in_loop)
        present.databases.rewind_lent(name)
        simulation.attach(engine)
        database = RewoundDatabase(present.databases, name, setup, simulation.place_inside)
        restored.callback(database.restore)
        opened.callback(database.close)
        expected = Expected(check, frozenset(ignored_columns), frozenset(expected_errors))
        footprints, leaves_out = Footprints(simulation.locks), not share_state and not database.hides_locks()
        exploration = Exploration(simulation, database, engine, clients, expected, footprints)
        search = Search(
            names,
            footprints,
            schedules,
            faults,
            tuple(kinds),
            seed,
            inside=inside_statements,
            leaves_out=leaves_out,
        )
        is_known, failure = False, exploration.run_in_serial_orders(names)
        if present.schedule is not None:
            failure = _run_written(exploration, Schedule.parse(present.schedule), names)
        else:
            if failure is None and present.failed is not None:
                failure = _run_again(exploration, present.failed, names)
                is_known = failure is not None
            failure = failure or _searched(exploration, search, names)
        if failure is None:
            return Explored(exploration.runs, max(0, search.preemptions), search.is_exhausted, exploration.locks_rows)
        found_after = "failed as before" if is_known else f"found after {exploration.runs} runs"
        smallest = failure if present.schedule else shrink(failure, exploration, keep_clients=check is None)
        simulation.locates_code = True
        shown, replays = _replayed(exploration, smallest)
        raise FoundError(shown, _told(shown, found_after, replays))


def _searched(exploration: Exploration, search: Search, clients: tuple[str, ...]) -> Failure | None:
    return next(filter(None, (exploration.run(attempt, clients) for attempt in search.attempts(exploration))), None)


def _run_again(exploration: Exploration, failed: str, clients: tuple[str, ...]) -> Failure | None:
    """Run a schedule that has failed before, if it still fits: the code may have changed since."""
    with suppress(ScheduleError):
        return _run_written(exploration, Schedule.parse(failed), clients)
    return None


def _run_written(exploration: Exploration, schedule: Schedule, clients: tuple[str, ...]) -> Failure | None:
    """Run a written schedule, of the clients that it names. Raises: ScheduleError, where it does not fit."""
    if unknown := sorted(set(schedule.clients) - set(clients)):
        raise ScheduleError(f"The schedule has {', '.join(unknown)}, but the clients are {', '.join(clients)}.")
    named = tuple(name for name in clients if name in schedule.clients)
    if not named or not exploration.may_be_alone(named):
        named = clients
    try:
        return exploration.run(Attempt(schedule, schedule), named)
    except ScheduleError:  # unless its statements are stopped inside
        return exploration.run(Attempt(schedule, schedule, inside=True), named)


def _replayed(exploration: Exploration, failure: Failure) -> tuple[Failure, int]:
    """Replay a failure's schedule; return the failure with its lines of code, and how many of ten replays are alike."""
    written = Attempt(failure.schedule, failure.schedule, inside=failure.inside)
    found = [exploration.run(written, failure.clients) for _ in range(REPLAYS)]
    alike = [again for again in found if again is not None and again.wrong == failure.wrong]
    return (alike or [failure])[0], len(alike)


def _told(failure: Failure, found_after: str, replays: int) -> str:
    what_happened = explanation(failure.result)
    return "\n".join(
        [
            failure.wrong,
            *([what_happened] if what_happened else []),
            "",
            interleaving(failure.result),
            f"{found_after}, replayed {replays} of {REPLAYS}",
        ]
    )
