"""Hypothesis's examples of one shard: the first that fails, and whether it does so again."""

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
_SHOWN: Final = 60  # lines of the smallest failing example, where it was not made smaller to the end

Lines = tuple[str, ...]


def limit_shrinking(seconds: float) -> None:
    """Let Hypothesis make a failing example smaller for so long at most, in this process."""
    engine.MAX_SHRINKING_SECONDS = seconds  # type: ignore[assignment]  # there is no setting for it


class NotDeterministicError(PgdstError):
    """A failing example did not fail when it was run again: `first` and `again` are the traces of both."""

    def __init__(self, first: Lines, again: Lines) -> None:
        self.first, self.again = first, again
        found = first_difference(first, again)
        where = found.in_context() if found else "Their traces are equal: what differs is not in them."
        super().__init__(
            "The simulation is not deterministic: an example failed, and did not when it was run again. "
            f"Where the two parted (< when it failed, > again):\n{where}"
        )


@dataclass
class Examples:
    """The examples of a shard, whose lines follow each other in its trace; with the first that fails the trace ends.

    What comes after it, when it is made smaller, depends on the machine's speed. `tell` is told at once what failed.
    """

    trace: Trace
    tell: Callable[[str], object] = lambda _wrong: None
    begun: int = 0
    _begins_at: list[int] = field(default_factory=list)
    _failed: dict[int, str] = field(default_factory=dict)  # what went wrong, by their numbers from 0
    _idle_steps: list[int] = field(default_factory=list)  # of the present one: where their ends are recorded

    def begin(self) -> None:
        """Note that an example begins."""
        self._idle_steps = []
        self.begun += not self._failed
        self._begins_at.append(len(self.trace.all_lines))
        self.trace.append(BEGINS)

    def end_idle_step(self) -> None:
        """Note, at the very end of a step of the machine, that it has changed nothing.

        Where the example fails, it is tried first without all such steps.
        """
        self._idle_steps.append(len(_record(current_build_context().data)))

    def fail(self, error: BaseException) -> None:
        """Note that the present example has ended with this error, unless it is how Hypothesis gives up an example."""
        if not isinstance(error, Exception) or isinstance(error, UnsatisfiedAssumption):
            return
        wrong = str(error) if isinstance(error, AssertionError) else repr(error)
        self.trace.append(FAILS)
        if self._idle_steps:
            _discard(current_build_context().data, self._idle_steps)
        is_first = not self._failed
        self._failed[len(self._begins_at) - 1] = wrong  # before it is told: who reads it may interrupt at once
        if is_first:
            self.trace.end()
            self.tell(wrong)

    @contextmanager
    def required_to_fail_again(self) -> Iterator[None]:
        """Run Hypothesis in this block.

        An interrupt, when an example has failed, shows the smallest that did.

        Raises: NotDeterministicError where it found an example that is flaky.
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
        """Return the smallest example that has failed, in words."""
        number = min(self._failed, key=lambda one: (len(self._lines(one)), one))
        lines = self._lines(number)
        return "\n".join([self._failed[number], "The smallest example that failed ends with:", *lines[-_SHOWN:]])

    def _first_of(self, again: int) -> int:
        """Return the failing example that the last one was to repeat: the one whose beginning is most like its own."""
        lines = self._lines(again)
        others = set(self._failed) - {again} or set(self._failed)
        return max(others, key=lambda one: (_equal_lines(self._lines(one), lines), one))

    def _lines(self, number: int) -> Lines:
        ends = [*self._begins_at[1:], len(self.trace.all_lines)]
        return self.trace.all_lines[self._begins_at[number] : ends[number]]


def _record(data: ConjectureData) -> Any:
    """Return Hypothesis's record of where spans begin and end, to which the end of a step is added next."""
    return data._ConjectureData__span_record.trail  # type: ignore[attr-defined]  # there is no other way to it


def _discard(data: ConjectureData, ends: list[int]) -> None:
    """Let Hypothesis take spans for what a filter has thrown away, which it tries first to do without, all at once.

    Only now, as in an example that is not yet known to fail it would keep away from all that begin alike.
    """
    for end in ends:
        _record(data)[end] = TrailType.STOP_SPAN_DISCARD
    data.has_discards = True


@contextmanager
def _without_discarded_first() -> Iterator[None]:
    """Let Hypothesis try what has none of the discarded before all else, in this block and process.

    It does so by itself after a pass that runs the example for each of its steps.
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
