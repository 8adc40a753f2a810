"""Contestants that do the same, side by side: one round after another, in each round every one of them."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import click


@dataclass(frozen=True)
class Contestant:
    """A command that does the work once or more and prints its figures, mostly milliseconds, in a JSON list on stdout.

    The times are taken inside the command: what a Python needs to start and to import is nobody's merit here.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> list[float]:
        """Return the figures of one run. Raises: click.ClickException, with what the command said."""
        return [float(figure) for figure in self.answer()]

    def answer(self) -> list[Any]:
        """Return the list that one run prints. Raises: click.ClickException, with what the command said."""
        ran = subprocess.run(
            self.command, env={**_surroundings(), **self.environment}, capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise click.ClickException(f"{self.name} failed with status {ran.returncode}:\n{ran.stderr[-4000:]}")
        answer: list[Any] = json.loads(ran.stdout.splitlines()[-1])
        return answer


class Measurable(Protocol):
    """What `make bench` measures: `hold` returns the figures, and the others say them."""

    def hold(self, rounds: int) -> Any:
        """Return what was measured in so many rounds."""

    def table(self, found: Any, /) -> Iterable[str]:
        """Yield the lines of a table."""

    def facts(self, found: Any, /) -> dict[str, object]:
        """Return it as JSON has it."""


@dataclass(frozen=True)
class Contest:
    """What is compared, in which unit, and by whom; ratios are to `measure`, one of the names."""

    title: str
    contestants: tuple[Contestant, ...]
    measure: str
    unit: str = "ms"

    def hold(self, rounds: int) -> dict[str, list[float]]:
        """Return the figures of each contestant. The round before the first warms caches and is thrown away."""
        times: dict[str, list[float]] = {one.name: [] for one in self.contestants}
        for number, one in _in_turn(self.contestants, rounds):
            found = one.run()
            if number > 0:
                times[one.name] += found
        return times

    def table(self, times: Mapping[str, list[float]]) -> Iterable[str]:
        """Yield the lines of a table: the median, the spread from the 5th to the 95th percentile, the ratio."""
        width = max(len(name) for name in times)
        yield f"{self.title}"
        yield f"  {'':<{width}}  {'median':>11}  {'5 % to 95 %':>19}  {'runs':>5}  ratio"
        measure = statistics.median(times[self.measure])
        for name, found in times.items():
            low, high = _spread(found)
            median = statistics.median(found)
            ratio = median / measure
            spread = f"{low:>7.1f} to {high:>7.1f}"
            yield f"  {name:<{width}}  {median:>7.1f} {self.unit:<3}  {spread}  {len(found):>5}  {ratio:>5.2f}"

    def facts(self, times: Mapping[str, list[float]]) -> dict[str, object]:
        """Return the contest as JSON has it."""
        measure = statistics.median(times[self.measure])
        return {
            "title": self.title,
            "unit": self.unit,
            "ratios are to": self.measure,
            "contestants": {
                name: {
                    "median": round(statistics.median(found), 3),
                    "ratio": round(statistics.median(found) / measure, 3),
                    "figures": [round(time, 3) for time in found],
                }
                for name, found in times.items()
            },
        }


@dataclass(frozen=True)
class Together(Contest):
    """A contest in which one command measures all, in rounds of its own: for each it prints the name and the figures.

    It is for what takes so little time that a server each, and a Python, would take most of it.
    """

    def hold(self, rounds: int) -> dict[str, list[float]]:
        """Return the figures by the names."""
        [runner] = self.contestants
        return dict(replace(runner, command=(*runner.command, "--rounds", str(rounds))).answer())


@dataclass(frozen=True)
class Growth:
    """What must not grow: a command that prints a list of figures, one a kind, after each of these numbers of uses."""

    title: str
    runner: Contestant
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]

    def hold(self, rounds: int) -> dict[str, list[float]]:  # noqa: ARG002  # once shows it
        """Return the figures of each kind, one a number of uses."""
        found = self.runner.answer()
        return {kind: [float(figures[place]) for figures in found] for place, kind in enumerate(self.kinds)}

    def table(self, times: Mapping[str, list[float]]) -> Iterable[str]:
        """Yield the lines of a table: each kind after each number of uses, and the last as a part of the first."""
        width = max(map(len, self.kinds))
        yield f"{self.title}"
        yield "  ".join([f"  {'':<{width}}", *(f"{f'after {number:,}':>12}" for number in self.numbers), "ratio"])
        for kind, found in times.items():
            ratio = found[-1] / found[0]
            yield "  ".join([f"  {kind:<{width}}", *(f"{figure:>12.1f}" for figure in found), f"{ratio:>5.2f}"])

    def facts(self, times: Mapping[str, list[float]]) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "title": self.title,
            "kinds": {
                kind: {str(number): round(figure, 3) for number, figure in zip(self.numbers, found, strict=True)}
                for kind, found in times.items()
            },
        }


def _surroundings() -> dict[str, str]:
    """Return our environment without what `make bench` has put into it: a contestant may call make in its turn."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS", "PGDST_"))
    }


def _in_turn(contestants: tuple[Contestant, ...], rounds: int) -> Iterable[tuple[int, Contestant]]:
    turns = [(number, one) for number in range(rounds + 1) for one in contestants]
    with click.progressbar(turns, file=sys.stderr, item_show_func=_name) as shown:
        yield from shown


def _name(turn: tuple[int, Contestant] | None) -> str:
    return turn[1].name if turn else ""


def _spread(found: list[float]) -> tuple[float, float]:
    in_order = sorted(found)
    last = len(in_order) - 1
    return in_order[round(last * 0.05)], in_order[round(last * 0.95)]
