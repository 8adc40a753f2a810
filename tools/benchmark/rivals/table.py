"""The table of what each tool made of each bug."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from contest import Contestant

Facts = dict[str, Any]

# `seconds` are from the start of the test to the end of the run that was found, `search` from its first run on;
# `alarms` are runs of the right twin that were reported, in a whole test of so many runs and seconds.
HEAD: Final = ("bug", "tool", "schedules", "seconds", "search", "replays", "preemptions", "lines", "alarms on the twin")
NOTHING: Final = "-"


@dataclass(frozen=True)
class Rivals:
    """A command that lets each tool test each bug and its right twin, in rounds of its own."""

    title: str
    runner: Contestant

    def hold(self, rounds: int) -> list[Facts]:
        """Return what the command prints, an object for each bug and tool."""
        return replace(self.runner, command=(*self.runner.command, "--rounds", str(rounds))).answer()

    def table(self, rows: Sequence[Facts]) -> Iterable[str]:
        """Yield the lines of a table, with medians of the rounds."""
        cells = [HEAD, *(cells_of(row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        yield self.title
        for line in cells:
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()

    def facts(self, rows: Sequence[Facts]) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"title": self.title, "rows": list(rows)}


def cells_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row's cells, as HEAD names them."""
    wrong: list[Facts] = row["wrong"]
    lines, alarms = str(row["lines"]), alarms_of(row["right"])
    if failed := [one["failed"] for one in wrong if "failed" in one]:
        return row["bug"], row["tool"], failed[0], *[NOTHING] * 4, lines, alarms
    finds = [one for one in wrong if one["found"]]
    if len(finds) < len(wrong):
        missed = f"missed in {len(wrong) - len(finds)} of {len(wrong)}, after {middle(wrong, 'schedules'):g}"
        return row["bug"], row["tool"], missed, *[NOTHING] * 4, lines, alarms
    schedules = f"{middle(finds, 'schedules'):g}"
    if "wrong" in finds[0]:
        schedules += f" ({middle(finds, 'wrong'):g} of 200 wrong)"
    times = [f"{middle(finds, kind):.3f}" for kind in ("seconds", "search seconds")]
    return row["bug"], row["tool"], schedules, *times, *reproduced(finds), lines, alarms


def reproduced(finds: Sequence[Facts]) -> tuple[str, str]:
    """Return of how many replays the find was seen in, and by how many preemptions or faults it is shown."""
    if "replayed" not in finds[0]:
        return NOTHING, NOTHING
    fewest, most = (extreme(one["replayed"] for one in finds) for extreme in (min, max))
    preemptions, faults = (max(one[kind] for one in finds) for kind in ("preemptions", "faults"))
    shown = " and ".join([f"{preemptions}"] * (preemptions > 0 or faults == 0) + [f"{faults} fault(s)"] * (faults > 0))
    return f"{fewest} of 10" if fewest == most else f"{fewest} to {most} of 10", shown


def alarms_of(right: Facts) -> str:
    """Return how often a right twin was reported, and what the test took."""
    if "failed" in right:
        return str(right["failed"])
    alarms = right.get("wrong", int(right["found"]))
    return f"{alarms} ({right['schedules']} runs, {right['test seconds']:.2f} s)"


def middle(facts: Sequence[Facts], kind: str) -> float:
    """Return the median of a figure."""
    return float(statistics.median(one[kind] for one in facts))
