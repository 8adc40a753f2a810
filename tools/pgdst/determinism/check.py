"""Checks that a seed gives the same run on each engine, with jitter, on a busy machine and after other runs."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from pgdst import installation
from pgdst.errors import PgdstError
from pgdst.project import Project
from pgdst.pytest.simulation_run import command, environment
from pgdst.server.address import Server
from pgdst.simulation.faults.kinds import MIXES
from pgdst.simulation.faults.struck import struck
from pgdst.simulation.trace import Difference, first_difference

# Kinds of contention, and the text by which a line of a trace shows them.
CONTENTION = {
    "lock waits": "-> waits for ",
    "stops inside statements": "-> stops inside",
    "deadlocks": "-> 40P01",
    "serialization failures": "-> 40001",
    "locks that were not waited for": "-> 55P03",
    "unique conflicts": "-> 23505",
    "new connections": ": connect ->",
}
# Seeds of the workload for each process.
CHUNK: Final = 25
_END_OF_OUTPUT: Final = 20  # lines
_BUSY: Final = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""

Item = TypeVar("Item")
Traces = TypeVar("Traces")

Lines = Sequence[str]


@dataclass(frozen=True)
class Condition:
    """The circumstances of a run of a seed, on a server of its own.

    `jitters`: random waits wherever the kit touches the world. `busy`: as many busy processes beside it as there are
    cores. `after`: the same process has run another seed before, in the same databases.
    """

    name: str
    engine: str = "docker"
    jitters: bool = False
    busy: bool = False
    after: bool = False


CONDITIONS: Final = {
    one.name: one
    for one in (
        Condition("docker"),
        Condition("embedded", engine="embedded", after=True),
        Condition("jitter", jitters=True),
        Condition("busy", busy=True),
    )
}


@dataclass
class Comparison:
    """The comparison of runs of some seeds: counts, and the first difference of each run that is not as the first."""

    what: str
    runs: int = 0
    lines: int = 0
    contention: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[str, Difference]] = field(default_factory=list)  # with seed and conditions

    def add(self, seed: int, traces: Mapping[str, Lines]) -> list[str]:
        """Compare a seed's traces, by condition, with the first of them; return the conditions that differ."""
        (place, first), *others = traces.items()
        self.runs += len(traces)
        self.lines += len(first)
        self.contention.update(label for line in first for label, words in CONTENTION.items() if words in line)
        self.faults.update(struck(first))
        differing = []
        for other, lines in others:
            if (difference := first_difference(first, lines)) is not None:
                differing.append(other)
                self.differences.append((f"{self.what}, seed {seed}: < {place}, > {other}", difference))
        return differing

    def __str__(self) -> str:
        """Return a sentence for the user."""
        equal = f"{len(self.differences)} differ" if self.differences else "all equal"
        return f"{self.what}: {self.runs} runs, {equal}. One run of each seed: {self.lines} lines" + (
            f"{_counted(', with', self.contention)}{_counted('; hit by', self.faults)}."
        )


def _counted(how: str, labels: Counter[str]) -> str:
    found = ", ".join(f"{count} {label}" for label, count in labels.most_common())
    return f"{how} {found}" if found else ""


def write_traces(server: Server, seeds: Iterable[int], faults: str, folder: Path, driver: str) -> None:
    """Run each seed of the workload once, in a fresh database, and write its trace to a file in the folder.

    `faults` is one of the mixes.
    """
    from pgdst.determinism.workload import workload_of
    from pgdst.simulation.gate.server_processes import server_processes_of

    with server_processes_of(server) as processes, workload_of(processes, MIXES[faults], driver=driver) as workload:
        for seed in seeds:
            text = "\n".join(workload.run(seed).lines)
            (folder / str(seed)).write_text(text, encoding="utf-8", errors="backslashreplace")


class Check:
    """Runs each seed once in every condition, `jobs` at the same time.

    The traces of a seed whose runs differ are kept in `.pgdst/determinism` of the project. If `conditions` has the same
    one twice, its runs have different jitter. With `exit_first` the check stops at the first difference.
    """

    def __init__(
        self,
        project: Project,
        conditions: Sequence[Condition],
        faults: str,
        say: Callable[[str], None],
        *,
        driver: str,
        jobs: int,
        exit_first: bool,
    ) -> None:
        self._project = project
        self._driver = driver
        self._conditions = {_numbered(conditions, number): one for number, one in enumerate(conditions)}
        self._faults = faults
        self._kept = project.root / ".pgdst" / "determinism"
        self._say = say
        self._jobs = jobs
        self._exit_first = exit_first
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_stopped = False

    def workload(self, seeds: range) -> Comparison:
        """Run the built-in workload. Raises: PgdstError, if a run fails to complete."""
        found = Comparison("workload" if self._driver == "psycopg" else f"workload on {self._driver}")
        chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]

        def run(chunk: range, place: str, output: Path) -> dict[int, Lines]:
            output.mkdir()
            self._run(place, self._workload_command(chunk, place, output), output / "output", allowed=(0,))
            return {seed: _read(output / str(seed)) for seed in chunk}

        for chunk, traces in self._in_all_conditions(chunks, run):
            for seed in chunk:
                self._compare(found, seed, {place: lines[seed] for place, lines in traces.items()})
            if self._is_over(found):
                break
        return found

    def simulation(self, seeds: range, profile: str, examples: int | None) -> Comparison:
        """Run the backend's simulation; failing runs have to fail alike. Raises: PgdstError, if a trace is missing."""
        found = Comparison("simulation")

        def run(seed: int, place: str, output: Path) -> Lines:
            output.mkdir()
            trace = output / "trace"
            trace.touch()
            options = [f"--pgdst-trace={trace}", *self._options(seed, place)]
            called = command(self._project, seed, profile, examples, options, faults=self._faults)
            status = self._run(place, called, output / "output", allowed=(0, 1))
            lines = _read(trace)
            if not lines:
                raise PgdstError(f"The simulation of the backend has no trace:\n{_end_of(output / 'output')}")
            return [*lines, f"status {status}"]

        for seed, traces in self._in_all_conditions(seeds, run):
            self._compare(found, seed, traces)
            if self._is_over(found):
                break
        return found

    def _in_all_conditions(
        self, items: Sequence[Item], run: Callable[[Item, str, Path], Traces]
    ) -> Iterator[tuple[Item, dict[str, Traces]]]:
        """Yield each item with the results of its runs by condition. Later items run meanwhile."""
        self._is_stopped = False
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pgdst-traces-")))
            executor = opened.enter_context(ThreadPoolExecutor(self._jobs, thread_name_prefix="pgdst-run"))
            opened.callback(self._stop)
            opened.callback(executor.shutdown, wait=False, cancel_futures=True)
            runs: list[tuple[Item, dict[str, Future[Traces]]]] = [
                (item, {p: executor.submit(run, item, p, folder / f"{number} {p}") for p in self._conditions})
                for number, item in enumerate(items)
            ]
            for item, futures in runs:
                yield item, {place: future.result() for place, future in futures.items()}

    def _workload_command(self, seeds: range, place: str, folder: Path) -> list[str]:
        arguments = [f"--first={seeds.start}", f"--seeds={len(seeds)}", f"--faults={self._faults}", f"--write={folder}"]
        condition = self._conditions[place]
        arguments += [f"--jitter={self._jitter(seeds.start, place)}"] if condition.jitters else []
        arguments += ["--backwards"] if condition.after else []
        arguments += [f"--driver={self._driver}"]
        return [*installation.command("check-determinism"), *arguments]

    def _options(self, seed: int, place: str) -> list[str]:
        condition = self._conditions[place]
        options = [f"--pgdst-jitter={self._jitter(seed, place)}"] if condition.jitters else []
        return [*options, *([f"--pgdst-after={seed + 1}"] if condition.after else [])]

    def _jitter(self, seed: int, place: str) -> int:
        return seed * len(self._conditions) + list(self._conditions).index(place)

    def _run(self, place: str, called: Sequence[str], output: Path, allowed: Sequence[int]) -> int:
        """Run a command on a server of its own, under a condition, and return its status."""
        condition = self._conditions[place]
        around = ["bash", str(installation.WITH_POSTGRES), "--engine", condition.engine, "--"]
        with ExitStack() as opened:
            if condition.busy:
                opened.enter_context(_busy_cores())
            file = opened.enter_context(output.open("wb"))
            process = subprocess.Popen(
                [*around, *called],
                cwd=self._project.backend,
                env=environment() | self._project.environment() | {"PGDST_PYTHON": sys.executable},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
            self._processes.add(process)
            try:
                if self._is_stopped:  # `_stop` came before this process was in the set
                    process.terminate()
                status = process.wait()
            finally:
                self._processes.discard(process)
        if status not in allowed:
            raise PgdstError(f"A run ({place}) ended with status {status}:\n{_end_of(output)}")
        return status

    def _stop(self) -> None:
        """Terminate the processes that still run."""
        self._is_stopped = True
        for process in list(self._processes):
            process.terminate()

    def _compare(self, found: Comparison, seed: int, traces: Mapping[str, Lines]) -> None:
        differing = found.add(seed, traces)
        first = next(iter(traces.values()))
        if not differing:
            self._say(f"{found.what}, seed {seed}: {len(traces)} runs equal, {len(first)} lines")
            return
        self._kept.mkdir(parents=True, exist_ok=True)
        for place, lines in traces.items():
            file = self._kept / f"{found.what}-{seed}-{place}.trace"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
        self._say(f"{found.what}, seed {seed}: {', '.join(differing)} differ; all traces are in {self._kept}")

    def _is_over(self, found: Comparison) -> bool:
        return self._exit_first and bool(found.differences)


def _numbered(conditions: Sequence[Condition], number: int) -> str:
    """Return a condition's name, with a number if it is a repeated one."""
    name = conditions[number].name
    before = conditions[:number].count(conditions[number])
    return f"{name}-{before + 1}" if before else name


@contextmanager
def _busy_cores() -> Iterator[None]:
    """Keep all cores busy. The busy processes end by themselves if this process is killed."""
    with ExitStack() as started:
        for _ in range(os.cpu_count() or 1):
            process = started.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY]))
            started.callback(process.kill)
        yield


def _read(file: Path) -> Lines:
    return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _end_of(output: Path) -> str:
    return "\n".join(output.read_text(encoding="utf-8", errors="replace").splitlines()[-_END_OF_OUTPUT:])
