"""Hypothesis's examples of one run, and whether one that fails does so again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from hypothesis.errors import Flaky

from pgdst.errors import PgdstError
from pgdst.simulation.trace import Trace, first_difference

BEGINS: Final = "a new example"
FAILS: Final = "the example fails"


class NotDeterministicError(PgdstError):
    """A failing example did not fail when it was run again: `first` and `again` are the traces of both."""

    def __init__(self, first: tuple[str, ...], again: tuple[str, ...]) -> None:
        self.first, self.again = first, again
        found = first_difference(first, again)
        where = found.in_context() if found else "Their traces are equal: what differs is not in them."
        super().__init__(
            "The simulation is not deterministic: an example failed, and did not when it was run again. "
            f"Where the two parted (< when it failed, > again):\n{where}"
        )


@dataclass
class Examples:
    """The examples of a run, whose lines follow each other in its trace."""

    trace: Trace
    _begun_at: list[int] = field(default_factory=list)
    _failed: set[int] = field(default_factory=set)  # their numbers, from 0

    def begin(self) -> None:
        """Note that an example begins."""
        self._begun_at.append(len(self.trace.lines))
        self.trace.append(BEGINS)

    def fail(self) -> None:
        """Note that the present example has failed."""
        self._failed.add(len(self._begun_at) - 1)
        self.trace.append(FAILS)

    @contextmanager
    def required_to_fail_again(self) -> Iterator[None]:
        """Run Hypothesis in this block. Raises: NotDeterministicError where it found an example that is flaky."""
        try:
            yield
        except Flaky as error:
            if not self._failed:
                raise
            *_, again = range(len(self._begun_at))
            raise NotDeterministicError(self._lines(self._first_of(again)), self._lines(again)) from error

    def _first_of(self, again: int) -> int:
        """Return the failing example that the last one was to repeat: the one whose beginning is most like its own."""
        lines = self._lines(again)
        others = self._failed - {again} or self._failed
        return max(others, key=lambda one: (_equal_lines(self._lines(one), lines), one))

    def _lines(self, number: int) -> tuple[str, ...]:
        ends = [*self._begun_at[1:], len(self.trace.lines)]
        return self.trace.lines[self._begun_at[number] : ends[number]]


def _equal_lines(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    found = first_difference(one, other)
    return found.line - 1 if found else len(one)
