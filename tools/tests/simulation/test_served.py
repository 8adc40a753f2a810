"""A backend in a process of its own: races are found and replayed, and statements of no clear owner are refused."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from conftest import leased_server
from pgdst.errors import ConfigurationError, InconclusiveError
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.faults.plan import Faults, random_faults
from pgdst.simulation.gate import identity
from pgdst.simulation.gate.attribution import sets_up
from pgdst.simulation.gate.batch import Batch
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from pgdst.simulation.result import Result
from pgdst.simulation.simulation import Simulation
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import Strategy
from pgdst.simulation.strategies.uniform import Uniform

HERE = Path(__file__).parent / "backends"
SCHEMA = b"CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)"
FILL = "TRUNCATE accounts; INSERT INTO accounts SELECT number, 0 FROM generate_series(1, 4) AS number"
LOOP = [sys.executable, "-m", "uvicorn", "on_a_loop:app", "--port", "{port}", "--log-level", "warning"]
BACKENDS = {
    "a loop, asyncpg": (LOOP, "asyncpg"),
    "threads, psycopg2": ([sys.executable, "on_threads.py", "{port}"], "psycopg2"),
    "node": (["node", "on_node.mjs", "{port}"], ""),
}
CLASHES = {
    "deposits": ["/deposit/1"] * 3,
    "a deadlock": ["/transfer/1/2", "/transfer/2/1"],
    "all": ["/transfer/1/2", "/transfer/2/1", "/deposit/1", "/deposit/2"],
}
FEW_OR_MANY = [2, pytest.param(60, marks=pytest.mark.long)]  # the backend is restarted after each
NAMES = ("ada", "bob", "cyd", "dan")


@pytest.fixture(scope="module")
def processes() -> Iterator[ServerProcesses]:
    with leased_server(EmbeddedEngine(), SCHEMA) as server, server_processes_of(server) as found:
        yield found


@pytest.fixture
def simulation(processes: ServerProcesses) -> Iterator[Simulation]:
    with closing(Simulation(processes, stall_seconds=3)) as made:
        yield made


def post(url: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Send a request to a backend; return the status and the body."""
    place = urlsplit(url)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)) as connection:
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Bench:
    """A served backend with accounts."""

    def __init__(self, simulation: Simulation, processes: ServerProcesses, name: str, **environment: str) -> None:
        command, driver = BACKENDS[name]
        if not shutil.which(command[0]):
            # Node.js is optional: no dependency of the kit brings it.
            pytest.skip(f"{command[0]} is not on this machine, and nothing else here needs it")
        self.simulation, self.processes = simulation, processes
        self.url = simulation.serve(command, driver=driver, folder=HERE, environment=environment)

    def run(self, paths: list[str], strategy: Strategy, faults: Faults | None = None) -> Result:
        """Run a client for each of the paths, on empty accounts."""
        with self.processes.server.connect() as observer:
            observer.execute(FILL)
        for name, path in zip(NAMES, paths, strict=False):
            self.simulation.spawn(name, lambda path=path: post(self.url, path, self.simulation.identity()))
        return self.simulation.run(strategy, faults)

    def balances(self) -> list[int]:
        """Return the balances of the accounts."""
        with self.processes.server.connect() as observer:
            return [balance for (balance,) in observer.execute("SELECT balance FROM accounts ORDER BY id")]


@pytest.fixture(params=BACKENDS)
def bench(request: pytest.FixtureRequest, simulation: Simulation, processes: ServerProcesses) -> Bench:
    return Bench(simulation, processes, request.param)


def test_a_lost_update_is_found_and_replayed(bench: Bench) -> None:
    for tried in Exhaustive(preemptions=1):
        found = bench.run(["/deposit/1"] * 2, tried)
        assert {} == found.errors
        if bench.balances()[0] == 1:
            break
    assert 1 == bench.balances()[0]
    for _ in range(10):
        again = bench.run(["/deposit/1"] * 2, Schedule.parse(str(found.schedule)))
        assert (1, found.trace.lines) == (bench.balances()[0], again.trace.lines)


@pytest.mark.parametrize(
    ("clash", "seeds"),
    [("all", 12), *(pytest.param(clash, 100, marks=pytest.mark.long) for clash in CLASHES)],
)
def test_a_seed_gives_the_same_run_each_time(bench: Bench, clash: str, seeds: int) -> None:
    runs = [[bench.run(CLASHES[clash], Uniform(seed)) for seed in range(seeds)] for _twice in range(2)]
    for one, other in zip(*runs, strict=True):
        assert one.trace.lines == other.trace.lines
    assert len({run.trace.hexdigest() for run in runs[0]}) > seeds // 3
    if clash != "deposits":
        said = {run.value(name) for run in runs[0] for name in ("ada", "bob")}
        assert {(409, "40P01")} < {(status, text.strip('"')) for status, text in said}


@pytest.mark.parametrize("seeds", FEW_OR_MANY)
@pytest.mark.parametrize("name", ["a loop, asyncpg", "threads, psycopg2"])
def test_work_in_the_background_is_refused_each_time(
    simulation: Simulation, processes: ServerProcesses, name: str, seeds: int
) -> None:
    """Its statements would be attributed to the next client."""
    made = Bench(simulation, processes, name)
    for seed in range(seeds):
        with pytest.raises(InconclusiveError, match=r"in the background|Nothing says for whom|at two places at once"):
            made.run(["/deposit_later/1", "/deposit_later/2"], Uniform(seed))


@pytest.mark.parametrize("seeds", FEW_OR_MANY)
def test_two_things_at_once_in_a_request_are_refused_each_time(
    simulation: Simulation, processes: ServerProcesses, seeds: int
) -> None:
    made = Bench(simulation, processes, "a loop, asyncpg")
    for seed in range(seeds):
        with pytest.raises(InconclusiveError, match="The client ada is at two places at once"):
            made.run(["/deposit_twice/1"], Uniform(seed))


def test_a_backend_that_does_not_say_for_whom_it_asks_is_inconclusive(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    made = Bench(simulation, processes, "threads, psycopg2")
    simulation.spawn("ada", partial(post, made.url, "/deposit/1", {}))
    with processes.server.connect() as observer:
        observer.execute(FILL)
    with pytest.raises(InconclusiveError, match=r"^Nothing says for whom another.*simulation\.identity\(\)"):
        simulation.run(Uniform(0))


@pytest.mark.parametrize("pool", ["5", "none"])
def test_what_says_so_only_in_part_is_inconclusive(
    simulation: Simulation, processes: ServerProcesses, pool: str
) -> None:
    """Also if the unnamed statement comes first, on a new, a used or a closed connection."""
    made = Bench(simulation, processes, "threads, psycopg2", POOL=pool)
    for _twice in range(2):
        with pytest.raises(InconclusiveError, match="Nothing says for whom another process sent"):
            made.run(["/deposit_in_secret/1"], Uniform(0))
    made.run(["/deposit/1"] * 2, Uniform(0))


def test_a_backend_that_ends_in_a_run_is_named_and_started_anew(
    simulation: Simulation, processes: ServerProcesses
) -> None:
    made = Bench(simulation, processes, "threads, psycopg2")
    with pytest.raises(InconclusiveError, match="The backend has ended with status 7"):
        made.run(["/end/1"], Uniform(0))
    assert (200, "1") == made.run(["/deposit/1"], Uniform(0)).value("ada")


def test_a_comment_that_names_nobody_says_nothing() -> None:
    assert ("SELECT 1 /*pgdst_client=''*/", "") == identity.said("SELECT 1 /*pgdst_client=''*/")
    assert ("SELECT 1", "ada") == identity.said("SELECT 1 /*a='b',pgdst_client='ada'*/")
    assert ("SELECT '/*'", "") == identity.said("SELECT '/*'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select pg_catalog.version()", True),
        ("SHOW standard_conforming_strings", True),
        ("SELECT 1", True),
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL", True),
        ("SELECT version FROM documents", False),
        ("SELECT pg_catalog.nextval('numbers')", False),
        ("UPDATE pg_catalog.pg_proc SET proname = 'x'", False),
        ("INSERT INTO accounts VALUES (1)", False),
    ],
)
def test_what_sets_a_connection_up_is_nobodys(text: str, expected: bool) -> None:
    assert expected == sets_up(Batch((), text, text))


def test_a_pool_that_is_too_small_is_named(simulation: Simulation, processes: ServerProcesses) -> None:
    made = Bench(simulation, processes, "threads, psycopg2", POOL="1")
    made.run(["/deposit/1"], Uniform(0))
    with pytest.raises(InconclusiveError, match="is its pool too small"):
        made.run(["/deposit/1"] * 2, Schedule.parse("ada*2 bob*2"))


@pytest.mark.parametrize("name", ["a loop, asyncpg", "threads, psycopg2"])
def test_faults_strike_it_as_any_other(simulation: Simulation, processes: ServerProcesses, name: str) -> None:
    """Connections in its pool that they break are gone in the next run."""
    made = Bench(simulation, processes, name)
    struck: set[Fault] = set()
    for kind in (Fault.LOST, Fault.TERMINATED, Fault.CRASH, Fault.DEADLOCK, Fault.COMMIT_DONE):
        result = next(
            run
            for seed in range(30)
            if (run := made.run(["/deposit/1"] * 2, Uniform(seed), random_faults(seed, [kind]))).schedule.faults
        )
        struck.update(result.schedule.faults.values())
        made.run(["/deposit/1"], Uniform(0))
        made.run(["/deposit/1"], Uniform(0))
        assert 1 == made.balances()[0]
    assert 5 == len(struck)


def test_a_backend_that_does_not_start_is_one_error(simulation: Simulation) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)has ended with status 1.*ModuleNotFoundError"):
        simulation.serve([sys.executable, "-c", "import nothing_such"])
    with pytest.raises(ConfigurationError, match="cannot be started: nothing-such: No such file"):
        simulation.serve(["nothing-such"])
    with pytest.raises(ConfigurationError, match="is a list of words, found 'uvicorn app:app'"):
        simulation.serve("uvicorn app:app")
    with pytest.raises(ConfigurationError, match="cannot be started: /nowhere: No such file"):
        simulation.serve([sys.executable], folder=Path("/nowhere"))
    with pytest.raises(ConfigurationError, match=r"has not answered at http://127.0.0.1:\d+ within 0.3 s"):
        simulation.serve([sys.executable, "-c", "import time; time.sleep(60)"], deadline_seconds=0.3)
    simulation.spawn("ada", str)
    assert {} == simulation.run(Uniform(0)).errors


def test_it_ends_with_its_simulation_and_with_whoever_tests(processes: ServerProcesses, tmp_path: Path) -> None:
    with closing(Simulation(processes)) as simulation:
        simulation.serve(*serving(tmp_path))
        served = pids(tmp_path)
    await_the_end(served)
    program = (
        "import sys\nfrom pathlib import Path\nfrom pgdst.simulation.served import Served\n"
        "served = Served(sys.argv[1:], None, 20)\nserved.start({})\nprint('here', flush=True)\nsys.stdin.read()\n"
    )
    (tmp_path / "pids").unlink()
    command = [sys.executable, "-c", program, *serving(tmp_path)[0]]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as tester:
        assert tester.stdout is not None
        assert b"here\n" == tester.stdout.readline()
        left = pids(tmp_path)
        tester.send_signal(signal.SIGKILL)
    await_the_end(left)


def test_an_interrupt_while_it_ends_leaves_nothing(processes: ServerProcesses, tmp_path: Path) -> None:
    """The backend ignores SIGTERM, and the user interrupts the wait."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    simulation = Simulation(processes)
    [[shell, option, script]] = serving(tmp_path)
    simulation.serve([shell, option, f"trap '' TERM; {script}"])
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            simulation.close()
    finally:
        signal.signal(signal.SIGALRM, before)
    await_the_end(pids(tmp_path))


ELSEWHERE = """
import sys, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute(f"UPDATE accounts SET balance = balance + 1 WHERE id = 1 {sys.argv[2]}")
"""


@pytest.mark.parametrize("comment", ["/*pgdst_client='ada'*/", ""])
def test_a_process_that_somebody_else_starts_comes_by_a_url(processes: ServerProcesses, comment: str) -> None:
    patient = Simulation(processes, stall_seconds=60)  # Python starts within the run
    with closing(patient) as simulation, processes.server.connect() as observer:
        url = simulation.elsewhere()
        observer.execute(FILL)
        simulation.spawn("ada", subprocess.run, [sys.executable, "-c", ELSEWHERE, url, comment], check=True)
        if not comment:
            with pytest.raises(InconclusiveError, match="Nothing says for whom another process sent UPDATE"):
                simulation.run(Uniform(0))
            return
        result = simulation.run(Uniform(0))
        assert [(1,)] == observer.execute("SELECT balance FROM accounts WHERE id = 1").fetchall()
    assert {} == result.errors
    assert ["UPDATE accounts SET balance = balance + 1 WHERE id = 1", "COMMIT"] == [
        step.what for step in result.steps if step.answer in ("UPDATE 1", "COMMIT")
    ]


def serving(folder: Path) -> tuple[list[str]]:
    """Return the arguments of a backend that starts another process and writes both pids to a file."""
    script = f"sleep 600 & echo $$ $! >{folder}/pids; exec '{sys.executable}' -m http.server --bind 127.0.0.1 {{port}}"
    return (["/bin/sh", "-c", script],)


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def await_the_end(processes: list[int]) -> None:
    """Wait until none of the processes runs, as a killed one ends a moment later."""
    deadline = time.monotonic() + 5
    while any(runs(pid) for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Tell whether a process runs. A zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
