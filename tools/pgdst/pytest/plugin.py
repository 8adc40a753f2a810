"""Fixtures for any backend: the run's server, clean databases, the seed and the hash of the run.

Where the kit is installed, pytest finds it for every project with a [tool.pgdst] (pgdst.pytest.entry). Else:
`pytest_plugins = ["pgdst.pytest.plugin"]` in the backend's tests/conftest.py. Both at once are fine.
"""

import gc
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pgdst import project, timings
from pgdst.cli import ENGINES, make_engine, order
from pgdst.database.budget import require_connections
from pgdst.database.databases import Databases
from pgdst.errors import PgdstError
from pgdst.manifest import Manifest, from_json
from pgdst.pytest.replay import DEFAULT_FAULTS, DEFAULT_IMAGE, where
from pgdst.pytest.shard import Shard
from pgdst.pytest.shards import SHARDS, Hooks, Shards
from pgdst.pytest.simulation_run import FAULTS
from pgdst.server import address
from pgdst.server.address import Server
from pgdst.server.guard import GUARD
from pgdst.server.lifetime import lease
from pgdst.simulation.coverage import Ledger
from pgdst.simulation.trace import Trace

if TYPE_CHECKING:
    from pgdst.simulation.gate.server_processes import Backends
    from pgdst.simulation.simulation import Simulation

    NewSimulation = Callable[..., Simulation]

WAIT_SECONDS = 60
DISK_MIB = 1024
SHRINK_SECONDS = 30.0
TRACED = pytest.StashKey[list[Shard]]()  # of this process
KEPT = pytest.StashKey[list[str]]()  # URLs
SIMULATIONS = pytest.StashKey[list["Simulation"]]()  # of a test
GUARDED = pytest.StashKey[ExitStack]()  # while it is open, no connection may lead elsewhere
SENT_KEPT = "pgdst_kept"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a simulation."""
    group = parser.getgroup("pgdst", "deterministic simulation on a throw-away Postgres")
    group.addoption("--pgdst-seed", type=int, help="the same seed gives the same run (default: a new one, printed)")
    group.addoption("--pgdst-examples", type=int, help="how many runs of the state machine")
    group.addoption("--pgdst-profile", metavar="NAME", help="how thorough; the names are the backend's own")
    group.addoption("--pgdst-shard", type=int, metavar="K", help="run the shard K of the run alone, from 0 on")
    group.addoption(
        "--pgdst-keep-failures",
        type=lambda path: Path(path).absolute(),
        metavar="FOLDER",
        help="keep shards that fail in .pgdst/failures of this folder",
    )
    group.addoption(
        "--pgdst-own-servers",
        action="store_true",
        help="let each worker of xdist but the first start a server of its own",
    )
    group.addoption(
        "--pgdst-shrink-seconds",
        type=float,
        default=os.environ.get("PGDST_SHRINK_SECONDS") or SHRINK_SECONDS,
        metavar="S",
        help="how long a failing example is made smaller (default: %(default)s)",
    )
    group.addoption(
        "--pgdst-trace",
        type=lambda path: Path(path).absolute(),
        metavar="FILE",
        help="write the run's trace to this file (with workers of xdist a file a shard: FILE.0, FILE.1 …)",
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
        default=os.environ.get("PGDST_FAULTS") or DEFAULT_FAULTS,
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
    if config.option.pgdst_trace is not None and not hasattr(config, "workerinput"):
        config.option.pgdst_trace.unlink(missing_ok=True)
    config.stash[TRACED] = []
    config.stash[KEPT] = []
    config.stash[GUARDED] = ExitStack()
    try:
        if (running := address.from_environment(os.environ)) is not None:
            found = load_project(config)
            config.stash[GUARDED].enter_context(GUARD.allowing(running, found.other_servers, found.backend))
    except PgdstError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SHARDS] = Shards(config)
    config.pluginmanager.register(config.stash[SHARDS], "pgdst-shards")
    if _keeps():
        config.option.maxfail = 1  # or what is kept would be a later test's


def _keeps() -> bool:
    return os.environ.get("PGDST_KEEP") == "1"


@pytest.hookimpl
def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let a backend say how many shards its tests are."""
    pluginmanager.add_hookspecs(Hooks)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the processes of the run have shown each other."""
    if (shards := config.stash.get(SHARDS, None)) is not None:
        shards.close()
    if (guarded := config.stash.get(GUARDED, None)) is not None:
        guarded.close()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Judge what all shards have reached."""
    _write_traces(session.config)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SENT_KEPT] = session.config.stash[KEPT]
    elif not exitstatus and _never_reached(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write_traces(config: pytest.Config) -> None:
    """Write the traces of this process's shards: in their order to one file, a worker's to one each."""
    file, traced = config.option.pgdst_trace, config.stash[TRACED]
    if file is None:
        return
    is_worker = hasattr(config, "workerinput")
    for shard in sorted(traced, key=lambda one: one.index):
        path = file.with_name(f"{file.name}.{shard.index}") if is_worker else file
        with path.open("w" if is_worker else "a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.writelines(f"{line}\n" for line in shard.trace.lines)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:  # noqa: ARG001  xdist's hook
    """Take over the databases that a worker has kept."""
    node.config.stash[KEPT].extend(getattr(node, "workeroutput", {}).get(SENT_KEPT, []))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Tell how long it took until the first test could start."""
    result = yield
    _report(session.config, lambda: timings.report_start_up("start pytest and collect (processor time)"))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Tell how long the tests took."""
    # What was imported stays. Pytest has the garbage looked for five times at its end, a tenth of a short run's time.
    gc.freeze()
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
    run = config.stash[SHARDS].sum()
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
        replay = config.stash[SHARDS].replay
        again = replay.of_all() if run.failed is None else replay.of_one(run.where, run.failed)
        terminalreporter.write_line(f"replay: {again}")
        return  # a run that was cut short has not reached much, which says nothing
    for line in run.ledger.lines():
        terminalreporter.write_line(f"reached: {line}")


def _never_reached(config: pytest.Config) -> list[str]:
    run = config.stash[SHARDS].sum()
    if run is None or not run.is_whole or config.option.pgdst_shard is not None:
        return []  # a part need not reach everything
    return run.ledger.unreached() if run.ledger.must_reach_everything else []


@pytest.fixture(scope="session")
def pgdst_project(request: pytest.FixtureRequest) -> project.Project:
    """The backend under test, as `[tool.pgdst]` or the run's environment says."""
    with _readable_failure():
        return load_project(request.config)


def load_project(config: pytest.Config) -> project.Project:
    """Return the project of the working directory, or else of pytest's rootdir, with the paths of the environment."""
    start = next(filter(project.has_table, (Path.cwd(), config.rootpath)), None)
    paths = {name: os.environ.get(f"PGDST_{name.upper()}") for name in ("backend", "alembic_ini", "simulation")}
    return project.load(start=start, **{name: Path(path) for name, path in paths.items() if path})


@pytest.fixture(scope="session")
def pgdst_server(pgdst_project: project.Project, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of the run that pytest is part of, else one of its own, which dies with this process.

    A server that does not answer with the run's id, or has too few connections for all workers, is refused.
    DATABASE_URL, libpq's variables and those of [tool.pgdst.environment] lead to it, and no connection elsewhere.
    """
    with _readable_failure():
        has_own = request.config.option.pgdst_own_servers and os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0"
        running = None if has_own else address.from_environment(os.environ)
        if running is not None:
            with running.connect() as connection:
                address.require_ours(connection, running.run_id)
                others = 1 if request.config.option.pgdst_own_servers else _workers()
                require_connections(connection, others)
    if running is not None:
        yield running
        return
    with (
        _own_server(pgdst_project, request.config.option.pgdst_engine) as server,
        server.as_environment(pgdst_project.settings_for(server)),
        GUARD.allowing(server, pgdst_project.other_servers, pgdst_project.backend),
    ):
        yield server


def _workers() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


@pytest.fixture(scope="session")
def migrated_server(pgdst_server: Server, pgdst_project: project.Project) -> Server:
    """The same server, its database at the migrations' head and equal to the models.

    One that started from a snapshot is so already, unless a file that the migrations read was changed meanwhile.
    """
    manifest = pgdst_server.manifest or _manifest_of_the_run(pgdst_server)
    if manifest is None or not manifest.is_current():
        from pgdst.database.snapshot.contents import migrate

        with _readable_failure():
            migrate(pgdst_project, pgdst_server)
    return pgdst_server


def _manifest_of_the_run(server: Server) -> Manifest | None:
    """Return what the run's database was migrated from, where it is this server's and started from a snapshot."""
    file = os.environ.get("PGDST_MANIFEST") if os.environ.get("PGDST_RUN_ID") == server.run_id else None
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
    from pgdst.simulation.gate.server_processes import backends_of
    from pgdst.simulation.sqlalchemy.mappers import load_properties_in_order

    load_properties_in_order()  # before an application compiles its first query
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
            from pgdst.simulation.report.interleaving import interleaving

            told = f"{interleaving(runs[-1])}\nreplay: {item.config.stash[SHARDS].replay.of_one(where(item))}"
            report.sections.append(("interleaving", told))
    if call.excinfo is not None and (error := call.excinfo.value).__class__.__name__ == "NotDeterministicError":
        report.sections.append(("not deterministic", f"both traces: {_keep_traces(item, error)}"))
    return report


def _keep_traces(item: pytest.Item, error: Any) -> Path:
    """Write both traces of an example that failed, and did not again, into a folder of the checkout; return it."""
    folder = load_project(item.config).root / ".pgdst" / "not-deterministic"
    folder.mkdir(parents=True, exist_ok=True)
    test = re.sub(r"[^\w.-]", "_", item.name)
    for name, lines in (("first", error.first), ("again", error.again)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{test}-{name}.trace").write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder


@pytest.fixture
def run_shard(request: pytest.FixtureRequest) -> Shard:
    """The shard of the run that this test is."""
    shard = request.config.stash[SHARDS].shard(request)
    request.config.stash[TRACED].append(shard)
    if "hypothesis" in sys.modules:
        from pgdst.simulation.hypothesis.examples import limit_shrinking

        limit_shrinking(request.config.option.pgdst_shrink_seconds)
    return shard


@pytest.fixture
def run_trace(run_shard: Shard) -> Trace:
    """The trace of the shard; the hash of all shards' traces is the run's."""
    return run_shard.trace


@pytest.fixture
def run_ledger(run_shard: Shard) -> Ledger:
    """The ledger of the shard; the sum of all shards' is printed at the end."""
    return run_shard.ledger


@contextmanager
def _own_server(found: project.Project, engine_name: str) -> Iterator[Server]:
    with _readable_failure():
        engine = make_engine(
            engine_name,
            os.environ.get("PGDST_IMAGE") or DEFAULT_IMAGE,
            os.environ.get("PGDST_OFFLINE_IMAGE") or "auto",
            tcp=os.environ.get("PGDST_EMBEDDED_TCP") == "1",
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
        raise pytest.fail.Exception(str(error), pytrace=False) from None
