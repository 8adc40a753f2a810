"""Fixtures for any backend: the run's server, clean databases, the seed and the hash of the run.

Use: `pytest_plugins = ["pgdst.pytest_plugin"]` in the backend's tests/conftest.py.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgdst import project, timings
from pgdst.cli import ENGINES, make_engine, order
from pgdst.database.template import Template
from pgdst.errors import PgdstError
from pgdst.manifest import Manifest, from_json
from pgdst.server import address, lease
from pgdst.server.address import Server
from pgdst.simulation.ledger import Ledger
from pgdst.simulation.trace import Trace

DEFAULT_IMAGE = "postgres:16-alpine"
WAIT_SECONDS = 60
DISK_MIB = 1024
TRACE = pytest.StashKey[Trace]()
LEDGER = pytest.StashKey[Ledger]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a simulation."""
    group = parser.getgroup("pgdst", "deterministic simulation on a throw-away Postgres")
    group.addoption("--pgdst-seed", type=int, help="the same seed gives the same run (default: a new one, printed)")
    group.addoption("--pgdst-examples", type=int, help="how many runs of the state machine")
    group.addoption("--pgdst-profile", metavar="NAME", help="how thorough; the names are the backend's own")
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
    config.stash[TRACE] = Trace()
    config.stash[LEDGER] = Ledger()


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
    trace = config.stash[TRACE]
    if not trace.lines:
        return
    terminalreporter.section("pgdst")
    terminalreporter.write_line(f"seed: {config.option.pgdst_seed}")
    terminalreporter.write_line(f"run hash: {trace.hexdigest()} ({len(trace.lines)} lines)")
    if exitstatus:  # the run was cut short, so what it has not reached says nothing
        terminalreporter.write_line(f"replay: {replay_command(config)}")
        return
    for line in config.stash[LEDGER].lines():
        terminalreporter.write_line(f"reached: {line}")


def replay_command(config: pytest.Config) -> str:
    """Return the make command by which this run happens again."""
    profile, examples = config.option.pgdst_profile, config.option.pgdst_examples
    engine = os.environ.get("PGDST_ENGINE") or config.option.pgdst_engine
    knobs = [f"SEED={config.option.pgdst_seed}"]
    knobs += [f"PROFILE={profile}"] if profile else []
    knobs += [f"EXAMPLES={examples}"] if examples else []
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

    A server that does not answer with the run's id is refused. DATABASE_URL and libpq's variables lead to it.
    """
    with _readable_failure():
        running = address.from_environment(os.environ)
        if running is not None:
            with running.connect() as connection:
                address.require_ours(connection, running.run_id)
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
def clean_databases(migrated_server: Server) -> Iterator[Template]:
    """The migrated template: `with clean_databases.clone() as url` gives a database of one's own."""
    with _readable_failure():
        template = Template(migrated_server)
    yield template
    template.close()


@pytest.fixture
def database(clean_databases: Template) -> Iterator[str]:
    """The SQLAlchemy URL of a clean, migrated database for this test alone."""
    with clean_databases.clone() as url:
        yield url


@pytest.fixture(scope="session")
def run_trace(request: pytest.FixtureRequest) -> Trace:
    """The trace of the whole run, whose hash is printed at the end."""
    return request.config.stash[TRACE]


@pytest.fixture(scope="session")
def run_ledger(request: pytest.FixtureRequest) -> Ledger:
    """The ledger of the whole run, which is printed at the end."""
    return request.config.stash[LEDGER]


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
