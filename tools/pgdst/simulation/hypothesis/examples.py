"""Hypothesis's examples of one shard: the first that fails, and whether it fails again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis.control import current_build_context
from hypothesis.errors import Flaky, UnsatisfiedAssumption
from hypothesis.internal.conjecture import engine
from hypothesis.internal.conjecture.data import ConjectureData, TrailType
from hypothesis.internal.conjecture.shrinker import Shrinker

from pgdst.errors import PgdstError
from pgdst.simulation.trace import Trace, first_difference

BEGINS: Final = "a new example"
FAILS: Final = "the example fails"
_SHOWN: Final = 60  # lines of the smallest failing example, if shrinking was interrupted

Lines = tuple[str, ...]


def limit_shrinking(seconds: float) -> None:
    """Limit the time that Hypothesis shrinks a failing example, in this process."""
    engine.MAX_SHRINKING_SECONDS = seconds  # type: ignore[assignment]  # there is no setting for it


class NotDeterministicError(PgdstError):
    """A failing example passed when it was run again. `first` and `again` are the traces of both runs."""

    def __init__(self, first: Lines, again: Lines) -> None:
        self.first, self.again = first, again
        found = first_difference(first, again)
        where = found.in_context() if found else "Their traces are equal: the difference is not in them."
        super().__init__(
            "The simulation is not deterministic: an example failed, and passed when it was run again. "
            f"The first difference (< when it failed, > again):\n{where}"
        )


@dataclass
class Examples:
    """The examples of a shard. Their lines follow each other in its trace, which ends with the first that fails.

    The examples after it, while Hypothesis shrinks, depend on the machine's speed. `tell` is called with the error of
    the first failure at once.
    """

    trace: Trace
    tell: Callable[[str], object] = lambda _wrong: None
    begun: int = 0
    _begins_at: list[int] = field(default_factory=list)
    _failed: dict[int, str] = field(default_factory=dict)  # errors, by the numbers of the examples from 0
    _idle_steps: list[int] = field(default_factory=list)  # indexes of their ends in the present example's record

    def begin(self) -> None:
        """Note that an example begins."""
        self._idle_steps = []
        self.begun += not self._failed
        self._begins_at.append(len(self.trace.all_lines))
        self.trace.append(BEGINS)

    def end_idle_step(self) -> None:
        """Note, at the very end of a step of the machine, that the step has changed nothing.

        If the example fails, shrinking first tries to drop all such steps at once.
        """
        self._idle_steps.append(len(_record(current_build_context().data)))

    def fail(self, error: BaseException) -> None:
        """Note the error of the present example, unless it is the exception by which Hypothesis abandons one."""
        if not isinstance(error, Exception) or isinstance(error, UnsatisfiedAssumption):
            return
        wrong = str(error) if isinstance(error, AssertionError) else repr(error)
        self.trace.append(FAILS)
        if self._idle_steps:
            _discard(current_build_context().data, self._idle_steps)
        is_first = not self._failed
        self._failed[len(self._begins_at) - 1] = wrong  # before `tell`: a user who reads it may interrupt at once
        if is_first:
            self.trace.end()
            self.tell(wrong)

    @contextmanager
    def required_to_fail_again(self) -> Iterator[None]:
        """Run Hypothesis in this block. An interrupt after a failure shows the smallest failing example so far.

        Raises: NotDeterministicError, if Hypothesis found a failing example flaky.
        """
        try:
            with _without_discarded_first():
                yield
        except Flaky as error:
            if not self._failed:
                raise
            again = len(self._begins_at) - 1
            raise NotDeterministicError(self._lines(self._first_of(again)), self._lines(again)) from error
        except KeyboardInterrupt:
            if self._failed:
                self.tell(self._smallest())
            raise

    def _smallest(self) -> str:
        """Return the error and the last lines of the smallest example that has failed."""
        number = min(self._failed, key=lambda one: (len(self._lines(one)), one))
        lines = self._lines(number)
        return "\n".join([self._failed[number], "The smallest example that failed ends with:", *lines[-_SHOWN:]])

    def _first_of(self, again: int) -> int:
        """Return the failing example that the last one repeated: the one with the longest equal beginning."""
        lines = self._lines(again)
        others = set(self._failed) - {again} or set(self._failed)
        return max(others, key=lambda one: (_equal_lines(self._lines(one), lines), one))

    def _lines(self, number: int) -> Lines:
        ends = [*self._begins_at[1:], len(self.trace.all_lines)]
        return self.trace.all_lines[self._begins_at[number] : ends[number]]


def _record(data: ConjectureData) -> Any:
    """Return Hypothesis's record of the beginnings and ends of spans. The end of a step is appended to it."""
    return data._ConjectureData__span_record.trail  # type: ignore[attr-defined]  # there is no other way to it


def _discard(data: ConjectureData, ends: list[int]) -> None:
    """Mark spans as discarded by a filter: while shrinking, Hypothesis tries to drop all such spans at once.

    Only failing examples are marked: before a failure Hypothesis avoids examples that begin like a discarded one.
    """
    for end in ends:
        _record(data)[end] = TrailType.STOP_SPAN_DISCARD
    data.has_discards = True


@contextmanager
def _without_discarded_first() -> Iterator[None]:
    """Make Hypothesis drop discarded spans before anything else, in this block and process.

    By itself it does so only after a pass that runs the example once for each of its steps.
    """
    original: Any = Shrinker.initial_coarse_reduction

    def reduce(shrinker: Any) -> None:
        shrinker.remove_discarded()
        original(shrinker)

    Shrinker.initial_coarse_reduction = reduce  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        Shrinker.initial_coarse_reduction = original  # type: ignore[method-assign]  # as it was


def _equal_lines(one: Lines, other: Lines) -> int:
    found = first_difference(one, other)
    return found.line - 1 if found else len(one)
