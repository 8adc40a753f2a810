"""Fixtures for any backend: the run's server, clean databases, the seed and the hash of the run.

Use: `pytest_plugins = ["pgdst.pytest_plugin"]` in the backend's tests/conftest.py.
"""

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pgdst import project, timings
from pgdst.cli import ENGINES, make_engine, order
from pgdst.database.budget import require_connections
from pgdst.database.pool import Databases
from pgdst.errors import PgdstError
from pgdst.manifest import Manifest, from_json
from pgdst.server import address, lease
from pgdst.server.address import Server
from pgdst.simulation.ledger import Ledger
from pgdst.simulation.shares import Share, Sum, summed
from pgdst.simulation.trace import Trace
from pgdst.simulation_run import FAULTS

if TYPE_CHECKING:
    from pgdst.simulation.backends import Backends
    from pgdst.simulation.simulation import Simulation

    NewSimulation = Callable[..., Simulation]

DEFAULT_IMAGE = "postgres:16-alpine"
WAIT_SECONDS = 60
DISK_MIB = 1024
SHARES = pytest.StashKey[dict[int, Share]]()  # of this process
RECORDS = pytest.StashKey[dict[int, dict[str, Any]]]()  # of processes that have ended
KEPT = pytest.StashKey[list[str]]()  # URLs
SIMULATIONS = pytest.StashKey[list["Simulation"]]()  # of a test
SENT = "pgdst"
SENT_KEPT = "pgdst_kept"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a simulation."""
    group = parser.getgroup("pgdst", "deterministic simulation on a throw-away Postgres")
    group.addoption("--pgdst-seed", type=int, help="the same seed gives the same run (default: a new one, printed)")
    group.addoption("--pgdst-examples", type=int, help="how many runs of the state machine")
    group.addoption("--pgdst-profile", metavar="NAME", help="how thorough; the names are the backend's own")
    group.addoption("--pgdst-workers", type=int, default=1, help="how many share the run; with as many in -n of xdist")
    group.addoption(
        "--pgdst-trace",
        type=lambda path: Path(path).absolute(),
        metavar="FILE",
        help="write the run's trace, whose hash is printed, to this file (with workers: FILE.0, FILE.1 …)",
    )
    group.addoption(
        "--pgdst-jitter",
        type=int,
        metavar="N",
        help="wait for random times, drawn from N, wherever the kit touches the world, which changes no run",
    )
    group.addoption(
        "--pgdst-after",
        type=int,
        metavar="SEED",
        help="run a few examples of another seed before, in the same databases, which changes no run",
    )
    group.addoption(
        "--pgdst-faults",
        choices=FAULTS,
        default=os.environ.get("PGDST_FAULTS") or "some",
        help="which faults strike; all: also those that strike the whole server, and whoever else uses it",
    )
    group.addoption(
        "--pgdst-engine",
        choices=ENGINES,
        default=os.environ.get("PGDST_ENGINE") or "docker",
        help="where pytest is run by hand: the engine of the server that it starts itself",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed before Hypothesis reads its own option."""
    if config.option.pgdst_seed is None:
        given = config.getoption("hypothesis_seed", None)
        config.option.pgdst_seed = int(given) if given is not None else secrets.randbelow(2**32)
    config.option.hypothesis_seed = str(config.option.pgdst_seed)
    if config.option.pgdst_jitter is not None:
        from pgdst.simulation import jitter

        jitter.install(config.option.pgdst_jitter)
    config.stash[SHARES], config.stash[RECORDS], config.stash[KEPT] = {}, {}, []
    if _keeps():
        config.option.maxfail = 1  # or what is kept would be a later test's


def _keeps() -> bool:
    return os.environ.get("PGDST_KEEP") == "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each share of a run that workers share."""
    workers = metafunc.config.option.pgdst_workers
    if workers > 1 and "run_share" in metafunc.fixturenames:
        metafunc.parametrize("run_share", range(workers), scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send the shares of this worker, or judge what all of them have reached."""
    _write_traces(session.config)
    records = {share: one.as_record() for share, one in session.config.stash[SHARES].items()}
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SENT_KEPT] = session.config.stash[KEPT]
        if session.config.option.pgdst_workers > 1:  # else it is one of many tests, which nobody sums up
            session.config.workeroutput[SENT] = list(records.items())
        return
    session.config.stash[RECORDS].update(records)
    if not exitstatus and _never_reached(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write_traces(config: pytest.Config) -> None:
    file, workers = config.option.pgdst_trace, config.option.pgdst_workers
    for number, share in config.stash[SHARES].items() if file else ():
        path = file if workers == 1 else file.with_name(f"{file.name}.{number}")
        path.write_text("".join(f"{line}\n" for line in share.trace.lines), encoding="utf-8", errors="backslashreplace")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:  # noqa: ARG001  xdist's hook
    """Take over the shares of a worker that has ended."""
    sent = getattr(node, "workeroutput", {})
    node.config.stash[RECORDS].update(sent.get(SENT, []))
    node.config.stash[KEPT].extend(sent.get(SENT_KEPT, []))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Tell how long it took until the first test could start."""
    result = yield
    _report(session.config, lambda: timings.report_start_up("start pytest and collect (processor time)"))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Tell how long the tests took."""
    begin = time.monotonic()
    result = yield
    _report(session.config, lambda: timings.report("tests", time.monotonic() - begin))
    return result


def _report(config: pytest.Config, tell: Callable[[], None]) -> None:
    """Call `tell` with pytest's capturing suspended; a worker of xdist says nothing."""
    if not hasattr(config, "workerinput"):
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            tell()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the seed, the hash of the run and what it reached; after a failure, the command that makes it again."""
    run = _sum(config)
    if exitstatus:
        for url in config.stash[KEPT]:
            terminalreporter.write_line(f"database of the failure: {url}")
            terminalreporter.write_line(f"psql '{url.replace('+psycopg', '')}'")
    if not run or not run.lines:
        return
    terminalreporter.section("pgdst")
    terminalreporter.write_line(f"seed: {config.option.pgdst_seed}")
    terminalreporter.write_line(f"run hash: {run.hash} ({run.lines} lines)")
    never = _never_reached(config)
    if exitstatus or never:
        if never and not exitstatus:
            terminalreporter.write_line(f"failed: never once reached in this run: {', '.join(never)}")
        terminalreporter.write_line(f"replay: {replay_command(config)}")
        return  # a run that was cut short has not reached much, which says nothing
    for line in run.ledger.lines():
        terminalreporter.write_line(f"reached: {line}")


def _sum(config: pytest.Config) -> Sum | None:
    records = config.stash[RECORDS]
    return summed(records) if records else None


def _never_reached(config: pytest.Config) -> list[str]:
    run = _sum(config)
    return run.ledger.unreached() if run and run.ledger.must_reach_everything else []


def replay_command(config: pytest.Config) -> str:
    """Return the make command by which this run happens again."""
    profile, examples = config.option.pgdst_profile, config.option.pgdst_examples
    engine = os.environ.get("PGDST_ENGINE") or config.option.pgdst_engine
    knobs = [f"SEED={config.option.pgdst_seed}"]
    knobs += [f"PROFILE={profile}"] if profile else []
    knobs += [f"EXAMPLES={examples}"] if examples else []
    knobs += [f"WORKERS={config.option.pgdst_workers}"] if config.option.pgdst_workers > 1 else []
    knobs += [f"FAULTS={config.option.pgdst_faults}"] if config.option.pgdst_faults != "some" else []
    image = os.environ.get("PGDST_IMAGE") or DEFAULT_IMAGE
    knobs += ["ENGINE=embedded"] if engine == "embedded" else [f"IMAGE={image}"] if image != DEFAULT_IMAGE else []
    return " ".join(["make test-dst", *knobs])


@pytest.fixture(scope="session")
def pgdst_project() -> project.Project:
    """The backend under test, as `[tool.pgdst]` or the run's environment says."""
    paths = {name: os.environ.get(f"PGDST_{name.upper()}") for name in ("backend", "alembic_ini", "simulation")}
    return project.load(**{name: Path(path) for name, path in paths.items() if path})


@pytest.fixture(scope="session")
def pgdst_server(pgdst_project: project.Project, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of the run that pytest is part of, else one of its own, which dies with this process.

    A server that does not answer with the run's id, or has too few connections for all workers, is refused.
    DATABASE_URL and libpq's variables lead to it.
    """
    with _readable_failure():
        running = address.from_environment(os.environ)
        if running is not None:
            with running.connect() as connection:
                address.require_ours(connection, running.run_id)
                require_connections(connection, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    if running is not None:
        yield running
        return
    with _own_server(pgdst_project, request.config.option.pgdst_engine) as server, server.as_environment():
        yield server


@pytest.fixture(scope="session")
def migrated_server(pgdst_server: Server, pgdst_project: project.Project) -> Server:
    """The same server, its database at the migrations' head and equal to the models.

    One that started from a snapshot is so already, unless a file that the migrations read was changed meanwhile.
    """
    manifest = pgdst_server.manifest or _manifest_of_the_run()
    if manifest is None or not manifest.is_current():
        from pgdst.database.migrations import upgrade

        with _readable_failure():
            upgrade(pgdst_project, pgdst_server)
    return pgdst_server


def _manifest_of_the_run() -> Manifest | None:
    """Return what the run's database was migrated from, where it started from a snapshot."""
    file = os.environ.get("PGDST_MANIFEST")
    return from_json(Path(file).read_text(encoding="utf-8")) if file else None


@pytest.fixture(scope="session")
def clean_databases(migrated_server: Server, request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Clean, migrated databases: `with clean_databases.lend() as url` gives one of one's own."""
    with _readable_failure():
        databases = Databases(migrated_server, keep_last=_keeps())
    yield databases
    if databases.last and request.session.testsfailed:
        request.config.stash[KEPT].append(databases.last.url)
        if evidence := os.environ.get("PGDST_EVIDENCE"):  # by which the run's shell knows that there is some
            Path(evidence).touch()
    databases.close()


@pytest.fixture
def database(clean_databases: Databases) -> Iterator[str]:
    """The SQLAlchemy URL of a clean, migrated database for this test alone."""
    with _readable_failure(), clean_databases.lend() as url:
        yield url


@pytest.fixture(scope="session")
def pgdst_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run: `--pgdst-seed`, or a new one, which is printed where a test fails."""
    return int(request.config.option.pgdst_seed)


@pytest.fixture(scope="session")
def pgdst_backends(pgdst_server: Server) -> Iterator["Backends"]:
    """The backends of the run's server, for simulations."""
    from pgdst.simulation.backends import backends_of

    with _readable_failure(), ExitStack() as opened:
        yield opened.enter_context(backends_of(pgdst_server))


@pytest.fixture
def new_simulation(pgdst_backends: "Backends", request: pytest.FixtureRequest) -> Iterator["NewSimulation"]:
    """Make simulations with the given options. Where the test fails, the last run is shown."""
    from pgdst.simulation.simulation import Simulation

    made: list[Simulation] = request.node.stash.setdefault(SIMULATIONS, [])

    def new(**options: Any) -> Simulation:
        made.append(Simulation(pgdst_backends, **options))
        return made[-1]

    yield new
    for simulation in made:
        simulation.close()


@pytest.fixture
def simulation(new_simulation: "NewSimulation") -> "Simulation":
    """A simulation: attach an engine, spawn clients, run them."""
    return new_simulation()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show how the last run of a simulation went in a test that has failed, and the command that repeats it."""
    report = yield
    if call.when == "call" and report.failed:
        runs = [one.last for one in item.stash.get(SIMULATIONS, []) if one.last is not None]
        if runs:
            from pgdst.simulation.interleaving import interleaving

            told = f"{interleaving(runs[-1])}\nreplay: {replay_command(item.config)}"
            report.sections.append(("interleaving", told))
    if call.excinfo is not None and (error := call.excinfo.value).__class__.__name__ == "NotDeterministicError":
        report.sections.append(("not deterministic", f"both traces: {_keep_traces(item, error)}"))
    return report


def _keep_traces(item: pytest.Item, error: Any) -> Path:
    """Write both traces of an example that failed, and did not again, into a folder of the checkout; return it."""
    folder = project.load().root / ".pgdst" / "not-deterministic"
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("first", error.first), ("again", error.again)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{item.name}-{name}.trace").write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder


@pytest.fixture(scope="session")
def run_share() -> int:
    """The number of the share that this test is, from 0; a run that nobody shares has one."""
    return 0


@pytest.fixture(scope="session")
def run_trace(run_share: int, request: pytest.FixtureRequest) -> Trace:
    """The trace of the whole run or share, whose hash is printed at the end."""
    return request.config.stash[SHARES].setdefault(run_share, Share()).trace


@pytest.fixture(scope="session")
def run_ledger(run_share: int, request: pytest.FixtureRequest) -> Ledger:
    """The ledger of the whole run or share, which is printed at the end."""
    return request.config.stash[SHARES].setdefault(run_share, Share()).ledger


@contextmanager
def _own_server(found: project.Project, engine_name: str) -> Iterator[Server]:
    with _readable_failure():
        engine = make_engine(
            engine_name,
            os.environ.get("PGDST_IMAGE") or DEFAULT_IMAGE,
            os.environ.get("PGDST_OFFLINE_IMAGE") or "auto",
        )
        held, descriptor = lease.new()
    try:
        with _readable_failure():
            snapshot = os.environ.get("PGDST_SNAPSHOT") or "auto"
            server = engine.start(order(found, held, DISK_MIB, WAIT_SECONDS, snapshot))
        yield server
        engine.remove_run(held, log_lines=0)
    finally:
        lease.release(held, descriptor)


@contextmanager
def _readable_failure() -> Iterator[None]:
    """Fail with the message alone: it says what to do, a traceback through fixtures does not."""
    try:
        yield
    except PgdstError as error:
        pytest.fail(str(error), pytrace=False)
