"""Whether the same seed gives the same run: here, here again in a fresh database, and elsewhere on a fresh server."""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pgdst.errors import PgdstError
from pgdst.project import KIT, Project
from pgdst.server.address import Server
from pgdst.simulation.faults import ALL, MIXES
from pgdst.simulation.trace import first_difference
from pgdst.simulation_run import command, environment

SCRIPT = KIT / "tools" / "check_determinism.py"
WITH_POSTGRES = KIT / "tools" / "with_postgres.sh"
# What in a line says that clients were in each other's way.
CONTENTION = {
    "lock waits": "-> waits for ",
    "stops inside statements": "-> stops inside",
    "deadlocks": "-> 40P01",
    "serialization failures": "-> 40001",
    "locks that were not waited for": "-> 55P03",
    "unique conflicts": "-> 23505",
    "new connections": ": connect ->",
}
# In the trace of a run, and in a schedule, which is what a simulation's trace has of its runs.
FAULT = re.compile(rf"(?:: fault -> |[\w.-]!)({'|'.join(ALL)})(?![\w-])")

Lines = Sequence[str]


@dataclass
class Comparison:
    """What was compared: runs of some seeds, by where they ran, and the first line at which each that differs parts."""

    what: str
    runs: int = 0
    lines: int = 0
    contention: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, seed: int, first: Lines, others: Mapping[str, Lines]) -> None:
        """Compare the first run of a seed with the others, by where they ran."""
        self.runs += 1 + len(others)
        self.lines += len(first)
        self.contention.update(label for line in first for label, words in CONTENTION.items() if words in line)
        self.faults.update(kind for line in first for kind in FAULT.findall(line))
        for place, other in others.items():
            if (difference := first_difference(first, other)) is not None:
                self.differences.append(f"{self.what}, seed {seed}, {place}: {difference}")

    def __str__(self) -> str:
        """Return it in a sentence."""
        equal = f"{len(self.differences)} differ" if self.differences else "all equal"
        return f"{self.what}: {self.runs} runs, {equal}. One run of each seed: {self.lines} lines" + (
            f"{_counted(', with', self.contention)}{_counted('; struck by', self.faults)}."
        )


def _counted(how: str, labels: Counter[str]) -> str:
    found = ", ".join(f"{count} {label}" for label, count in labels.most_common())
    return f"{how} {found}" if found else ""


def workload_traces(server: Server, seeds: Iterable[int], faults: str) -> Iterator[tuple[int, Lines]]:
    """Yield each seed with the lines of its run of the built-in workload, each in a fresh database of the server.

    `faults` is one of the mixes.
    """
    from pgdst.simulation.backends import backends_of
    from pgdst.simulation.workload import workload_of

    with backends_of(server) as backends, workload_of(backends, MIXES[faults]) as workload:
        for seed in seeds:
            yield seed, workload.run(seed).lines


def write_traces(server: Server, seeds: Iterable[int], faults: str, folder: Path) -> None:
    """Run each seed of the workload once, and write its lines to a file of the folder."""
    for seed, lines in workload_traces(server, seeds, faults):
        _file(folder, seed).write_text("\n".join(lines), encoding="utf-8")


def compare_workload(server: Server, seeds: range, faults: str) -> Comparison:
    """Run each seed twice here, and meanwhile once in another process on a server of its own.

    Raises: InconclusiveError; PgdstError where the other process failed.
    """
    found = Comparison("workload")
    arguments = [sys.executable, SCRIPT, "--first", seeds.start, "--seeds", len(seeds), "--faults", faults]
    with tempfile.TemporaryDirectory(prefix="pgdst-traces-") as name:
        folder = Path(name)
        with _running([WITH_POSTGRES, "--", *arguments, "--write", folder], folder / "output") as elsewhere:
            twice = workload_traces(server, (seed for seed in seeds for _ in range(2)), faults)
            here = {seed: (lines, next(twice)[1]) for seed, lines in twice}
            _require_success(elsewhere, folder / "output", allowed=(0,))
        for seed, (first, again) in here.items():
            there = _file(folder, seed).read_text(encoding="utf-8").split("\n")
            found.add(seed, first, {"again": again, "another process, a fresh server": there})
    return found


def compare_simulation(project: Project, seeds: range, profile: str, examples: int, faults: str) -> Comparison:
    """Run the backend's simulation with each seed twice on this server, each in a process, and once on a fresh one.

    A simulation that fails has to fail alike. Raises: PgdstError where it could not be run.
    """
    found = Comparison("simulation")
    with tempfile.TemporaryDirectory(prefix="pgdst-traces-") as name:
        for seed in seeds:
            there = ("first", "again", "a fresh server")
            first, again, fresh = (
                _simulate(project, seed, profile, examples, faults, Path(name), place) for place in there
            )
            found.add(seed, first, {"again": again, "a fresh server": fresh})
    return found


def _simulate(project: Project, seed: int, profile: str, examples: int, faults: str, folder: Path, place: str) -> Lines:
    trace, output = folder / f"{seed} {place}", folder / "output"
    trace.touch()
    ran = command(project, seed, profile, examples, [f"--pgdst-trace={trace}"], faults=faults)
    around = [WITH_POSTGRES, "--"] if place == "a fresh server" else []
    with _running([*around, *ran], output, project.backend) as process:
        status = _require_success(process, output, allowed=(0, 1))
    lines = trace.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    if not lines:
        raise PgdstError(f"The simulation of the backend has no trace:\n{_end_of(output)}")
    return [*lines, f"status {status}"]


@contextmanager
def _running(
    arguments: Sequence[object], output: Path, folder: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command meanwhile; at the end of the block it is told to end."""
    with (
        output.open("wb") as file,
        subprocess.Popen(
            list(map(str, arguments)),
            cwd=folder,
            env=environment() if folder else os.environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _require_success(process: "subprocess.Popen[bytes]", output: Path, allowed: Sequence[int]) -> int:
    status = process.wait()
    if status not in allowed:
        raise PgdstError(f"A run in another process ended with status {status}:\n{_end_of(output)}")
    return status


def _end_of(output: Path) -> str:
    return "\n".join(output.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


def _file(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"
