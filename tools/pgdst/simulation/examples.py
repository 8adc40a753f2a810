"""Hypothesis's examples of one shard: the first that fails, and whether it does so again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from hypothesis.errors import Flaky, UnsatisfiedAssumption
from hypothesis.internal.conjecture import engine

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

    def begin(self) -> None:
        """Note that an example begins."""
        self.begun += not self._failed
        self._begins_at.append(len(self.trace.all_lines))
        self.trace.append(BEGINS)

    def fail(self, error: BaseException) -> None:
        """Note that the present example has ended with this error, unless it is how Hypothesis gives up an example."""
        if not isinstance(error, Exception) or isinstance(error, UnsatisfiedAssumption):
            return
        wrong = str(error) if isinstance(error, AssertionError) else repr(error)
        self.trace.append(FAILS)
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


def _equal_lines(one: Lines, other: Lines) -> int:
    found = first_difference(one, other)
    return found.line - 1 if found else len(one)
