"""Fixtures for any backend: the run's server, clean databases, the seed, simulations, the shard."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pgdst import project
from pgdst.cli import server_spec
from pgdst.database.budget import require_connections
from pgdst.database.databases import Databases
from pgdst.errors import PgdstError
from pgdst.manifest import Manifest, from_json
from pgdst.pytest.options import DISK_MIB, WAIT_SECONDS
from pgdst.pytest.replay import DEFAULT_IMAGE
from pgdst.pytest.shard import Shard
from pgdst.pytest.shards import SHARDS
from pgdst.server import address
from pgdst.server.address import Server
from pgdst.server.engines import make_engine
from pgdst.server.guard import GUARD
from pgdst.server.lifetime import lease
from pgdst.simulation.coverage import Coverage
from pgdst.simulation.trace import Trace

if TYPE_CHECKING:
    from pgdst.simulation.gate.server_processes import ServerProcesses
    from pgdst.simulation.simulation import Simulation

    NewSimulation = Callable[..., Simulation]

TRACED = pytest.StashKey[list[Shard]]()  # the shards that this process has run
SIMULATED = pytest.StashKey[dict[str, Trace]]()  # by test, the runs of simulations that are part of no shard
KEPT = pytest.StashKey[list[str]]()  # the URLs of kept databases


def keeps() -> bool:
    """Return whether the database of a failed test is kept."""
    return os.environ.get("PGDST_KEEP") == "1"


@pytest.fixture(scope="session")
def pgdst_project(request: pytest.FixtureRequest) -> project.Project:
    """The backend under test, from `[tool.pgdst]` or the run's environment."""
    with _readable_failure():
        return load_project(request.config)


def load_project(config: pytest.Config) -> project.Project:
    """Return the project of the working directory, else of pytest's rootdir; environment variables override paths."""
    start = next(filter(project.has_table, (Path.cwd(), config.rootpath)), None)
    paths = {name: os.environ.get(f"PGDST_{name.upper()}") for name in ("backend", "alembic_ini", "simulation")}
    return project.load(start=start, **{name: Path(path) for name, path in paths.items() if path})


@pytest.fixture(scope="session")
def pgdst_server(pgdst_project: project.Project, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of the run that pytest is part of; without one, a new server that dies with this process.

    A server that does not answer with the run's id, or has too few connections for all workers, is refused.
    DATABASE_URL, libpq's variables and those of [tool.pgdst.environment] lead to it. Connections to other servers are
    refused.
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
    """The same server, with its database migrated to the head and equal to the models.

    A server that started from a snapshot is migrated again only if a file that the migrations read has changed since.
    """
    manifest = pgdst_server.manifest or _manifest_of_the_run(pgdst_server)
    if manifest is None or not manifest.is_current():
        from pgdst.database.snapshot.contents import migrate

        with _readable_failure():
            migrate(pgdst_project, pgdst_server)
    return pgdst_server


def _manifest_of_the_run(server: Server) -> Manifest | None:
    """Return the manifest of the run's migrations, if the run's database is on this server and from a snapshot."""
    file = os.environ.get("PGDST_MANIFEST") if os.environ.get("PGDST_RUN_ID") == server.run_id else None
    return from_json(Path(file).read_text(encoding="utf-8")) if file else None


@pytest.fixture(scope="session")
def clean_databases(migrated_server: Server, request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Clean, migrated databases: `with clean_databases.lend() as url` lends one exclusively."""
    with _readable_failure():
        databases = Databases(migrated_server, keep_last=keeps())
    from pgdst.simulation.explore.context import exploring

    processes = partial(request.getfixturevalue, "pgdst_server_processes")  # only where a test explores
    with exploring(databases, processes, request.config.option.pgdst_schedule):
        yield databases
    if databases.last and request.session.testsfailed:
        request.config.stash[KEPT].append(databases.last.url)
        if evidence := os.environ.get("PGDST_EVIDENCE"):  # tells with_postgres.sh that a database was kept
            Path(evidence).touch()
    databases.close()


@pytest.fixture
def database(clean_databases: Databases) -> Iterator[str]:
    """The SQLAlchemy URL of a clean, migrated database for this test alone."""
    with _readable_failure(), clean_databases.lend() as url:
        yield url


@pytest.fixture(scope="session")
def pgdst_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run: `--pgdst-seed`, or a new one, which is printed if a test fails."""
    return int(request.config.option.pgdst_seed)


@pytest.fixture(scope="session")
def pgdst_server_processes(pgdst_server: Server) -> Iterator["ServerProcesses"]:
    """The server processes of the run's server, for simulations."""
    from pgdst.simulation.gate.server_processes import server_processes_of
    from pgdst.simulation.sqlalchemy.mappers import load_properties_in_order

    load_properties_in_order()  # before an application compiles its first query
    with _readable_failure(), ExitStack() as opened:
        yield opened.enter_context(server_processes_of(pgdst_server))


@pytest.fixture
def new_simulation(
    pgdst_server_processes: "ServerProcesses", request: pytest.FixtureRequest
) -> Iterator["NewSimulation"]:
    """A function that makes a simulation with the given options. If the test fails, its last run is shown."""
    from pgdst.simulation.simulation import Simulation

    made: list[Simulation] = []

    is_traced = request.config.option.pgdst_trace is not None and "run_shard" not in request.fixturenames
    trace = Trace() if is_traced else None

    def new(**options: Any) -> Simulation:
        made.append(Simulation(pgdst_server_processes, **options))
        made[-1].trace = trace
        return made[-1]

    yield new
    if trace is not None:
        request.config.stash[SIMULATED][request.node.nodeid] = trace
    for simulation in made:
        simulation.close()


@pytest.fixture
def simulation(new_simulation: "NewSimulation") -> "Simulation":
    """A simulation: attach an engine, spawn clients, run them."""
    return new_simulation()


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
def run_coverage(run_shard: Shard) -> Coverage:
    """The coverage of the shard; the sum over all shards is printed at the end."""
    return run_shard.coverage


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
            server = engine.start(server_spec(found, held, DISK_MIB, WAIT_SECONDS, snapshot))
        yield server
        engine.remove_run(held, log_lines=0)
    finally:
        lease.release(held, descriptor)


@contextmanager
def _readable_failure() -> Iterator[None]:
    """Fail with the message alone: it says what to do, and a traceback through fixtures does not help."""
    try:
        yield
    except PgdstError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
