"""Every test of the kit runs with a clean environment and must leave the machine as it was."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psutil
import pytest
import shop
import sqlalchemy
import timed_schema
import tiny_backend
from developers import Developers, listening
from leftovers import MARK, Leftovers
from pgdst import project
from pgdst.database.databases import Databases
from pgdst.database.sql_time import sql_determinism
from pgdst.server.address import Server, libpq_variables
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.server.engine import Engine
from pgdst.server.lifetime import lease
from pgdst.server.settings import merged
from pgdst.server.spec import ServerSpec
from pgdst.simulation.explore.context import exploring
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of
from races import SCHEMA, Races
from schedule_search import GATE

if TYPE_CHECKING:
    from selenium import webdriver

KIT = tiny_backend.KIT
PYTHON = KIT / ".venv" / "bin" / "python"
DEADLINE_SECONDS = 300  # of a command: long, as nothing is said of how fast a busy machine is
# Where the data of embedded servers are made and removed all the time: on a disk that took a tenth of all tests' time.
MEMORY = Path("/dev/shm")  # noqa: S108  # each folder in it is mkdtemp's
MEMORY_BYTES = 4 * 1024**3
# What takes seconds and is the same on both engines is tried on one of them for each change, and on both at night.
ENGINES = ["docker", pytest.param("embedded", marks=pytest.mark.long)]
QUICKER_ENGINE = [pytest.param("docker", marks=pytest.mark.long), "embedded"]  # of what concerns a server least
NO_FUZZER = "-p no:schemathesis"
OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def pytest_configure() -> None:
    """Let what the tests start take SIGINT and SIGHUP, also where this process was started with them ignored.

    So it is in the background of a script, and under nohup. What has a handler here is as usual in a child.
    """
    # Each pytest that a test starts would import it, for a third of a second, and none of their backends has it.
    os.environ["PYTEST_ADDOPTS"] = NO_FUZZER
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what make and the user's shell have set: a test says itself what it wants."""
    ours = [
        name for name in os.environ if name.startswith("PGDST_") or name in ("DATABASE_URL", "MAKEFLAGS", "MAKELEVEL")
    ]
    for name in (*ours, *libpq_variables()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A client of the daemon. Where Docker is missing the tests fail: they are about Docker."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def client(docker_client: docker.DockerClient) -> docker.DockerClient:
    """The same, by the name that the tests of images use."""
    return docker_client


@dataclass
class Sandbox:
    """A place for runs: a project's folder, a TMPDIR and a mark of its own."""

    root: Path
    scratch: Path
    leftovers: Leftovers
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *command: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start a command as the leader of a process group, as a terminal does; its output is captured."""
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.root,
            env={**os.environ, **self.places(), MARK: self.leftovers.mark, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def places(self) -> dict[str, str]:
        """Return the variables that keep what a run leaves for a while, and for later, in the sandbox."""
        return {"TMPDIR": str(self.scratch), "XDG_CACHE_HOME": str(self.scratch / "cache")}

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*command, **environment)
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def inside(self, folder: Path) -> "Sandbox":
        """Return the same sandbox with another working directory."""
        return replace(self, root=folder)

    def script(self, name: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the kit by hand."""
        return self.run(PYTHON, KIT / "tools" / name, *arguments, **environment)

    def with_postgres(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `with_postgres.sh ARGUMENTS`."""
        return self.run(KIT / "tools" / "with_postgres.sh", *arguments, **environment)

    def test(
        self, text: str, *options: str, arguments: tuple[str, ...] = ("-q",), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a test of the backend's by pytest, in a run with these options of with_postgres.sh."""
        (self.root / "tests" / "test_it.py").write_text(text)
        command: list[str | Path] = [PYTHON, "-m", "pytest", *arguments, "tests/test_it.py"]
        return self.with_postgres(*options, "--", *command, PYTHONPATH=str(KIT / "tools"), **environment)


def make_sandbox(root: Path, client: docker.DockerClient) -> Sandbox:
    """Return a sandbox for a project's folder; its TMPDIR is short, as a socket's path must be."""
    scratch = Path(tempfile.mkdtemp(prefix="t", dir=MEMORY if has_room(MEMORY) else None))
    scratch.chmod(0o755)  # run as root, the embedded Postgres is another user
    checkout = project.load(start=root).checkout
    return Sandbox(root, scratch, Leftovers(secrets.token_hex(8), checkout, scratch, client))


def has_room(memory: Path) -> bool:
    """Tell whether there is such a file system, and room for many servers on it: some containers have 64 MiB."""
    return memory.is_dir() and shutil.disk_usage(memory).free >= MEMORY_BYTES


@pytest.fixture
def developers() -> Iterator[Developers]:
    """What plays the developer's own database, and counts who comes."""
    with listening() as found:
        yield found


@pytest.fixture
def new_sandbox(tmp_path: Path, docker_client: docker.DockerClient) -> Iterator[Callable[[Path | None], Sandbox]]:
    """Make sandboxes, by default with a tiny backend to run. Afterwards nothing of their runs may be left."""
    made: list[Sandbox] = []

    def new(root: Path | None = None) -> Sandbox:
        folder = root or tiny_backend.write(tmp_path / f"tiny{len(made)}").root
        made.append(make_sandbox(folder, docker_client))
        return made[-1]

    yield new
    left = [one.leftovers.left_after() for one in made]
    for one in made:
        tidy(one)
    assert [{}] * len(made) == left


@dataclass(frozen=True)
class Warm:
    """A tiny backend's folder in one place, where the snapshots of it that were made once are found again."""

    root: Path
    cache: Path
    snapshots: tuple[str, ...]


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient) -> Iterator[Warm]:
    """The tiny backend that the sandboxes of this process share, one after another, and a snapshot of each engine."""
    root = tiny_backend.write(tmp_path_factory.mktemp("warm") / "tiny").root
    maker = make_sandbox(root, docker_client)
    try:
        for engine in ("docker", "embedded"):
            done = maker.with_postgres("--engine", engine, "--", "true")
            assert 0 == done.returncode, done.stderr
        yield Warm(root, maker.scratch / "cache", tuple(maker.leftovers.snapshots()))
    finally:
        tidy(maker)


@pytest.fixture
def sandbox(warm: Warm, new_sandbox: Callable[[Path | None], Sandbox]) -> Sandbox:
    """A tiny backend's folder to run things in, as new, with its snapshots."""
    shutil.rmtree(warm.root)
    made = new_sandbox(tiny_backend.write(warm.root).root)
    shutil.copytree(warm.cache, made.scratch / "cache")
    made.leftovers.keeps = warm.snapshots
    return made


@pytest.fixture
def cold_sandbox(new_sandbox: Callable[[Path | None], Sandbox]) -> Sandbox:
    """The same without a snapshot."""
    return new_sandbox(None)


@pytest.fixture(scope="session")
def browser() -> Iterator["webdriver.Chrome"]:
    """A real Chromium, which `make test-all` installs."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    assert options.binary_location, "There is no Chromium on PATH. Run tools/tests/chromium.sh."
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as opened:
        yield opened


@contextmanager
def leased_server(engine: Engine, schema: bytes = b"", settings: dict[str, str] | None = None) -> Iterator[Server]:
    """A server of this process, whose database has been given a schema."""
    held, descriptor = lease.new()
    try:
        server = engine.start(ServerSpec(project.load(start=KIT).checkout, held, merged(settings or {})))
        with server.connect() as connection:
            connection.execute(schema)
        yield server
        engine.remove_run(held, log_lines=0)
    finally:
        lease.release(held, descriptor)


@contextmanager
def explored_databases(schema: bytes) -> Iterator[Databases]:
    """Clean databases with a schema, in which `explore` finds its way."""
    with leased_server(EmbeddedEngine(), schema) as server:
        made = Databases(server)
        with server_processes_of(server) as processes, exploring(made, lambda: processes):
            yield made
        made.close()


@pytest.fixture(scope="module")
def lent_databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Clean databases with the `SCHEMA` of the module."""
    with explored_databases(request.module.SCHEMA) as databases:
        yield databases


@pytest.fixture
def url(lent_databases: Databases) -> Iterator[str]:
    """The URL of one of them."""
    with lent_databases.lend() as lent:
        yield lent


@pytest.fixture
def engine(url: str) -> sqlalchemy.Engine:
    """An engine on it."""
    return sqlalchemy.create_engine(url)


@pytest.fixture(scope="session")
def shop_server() -> Iterator[Server]:
    """A server whose database is the shop's; two-phase transactions and logical replication are allowed."""
    with leased_server(
        DockerEngine(), shop.SCHEMA, {"max_prepared_transactions": "5", "wal_level": "logical"}
    ) as server:
        yield server


@pytest.fixture(scope="session")
def timed_server() -> Iterator[Server]:
    """A server whose database can be told the time and what to draw; `timed_schema.SCHEMA` came before that."""
    with leased_server(DockerEngine(), timed_schema.SCHEMA) as server:
        with server.connect() as connection:
            assert sql_determinism.install(connection)
        yield server


@pytest.fixture(scope="module")
def timed_databases(timed_server: Server) -> Iterator[Databases]:
    """Clean copies of it."""
    made = Databases(timed_server)
    yield made
    made.close()


# The backend's own simulation runs on Docker for each change.
@pytest.fixture(scope="session", params=QUICKER_ENGINE)
def race_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of either engine."""
    with leased_server(DockerEngine() if request.param == "docker" else EmbeddedEngine()) as server:
        yield server


@pytest.fixture(scope="session")
def processes(race_server: Server) -> Iterator[ServerProcesses]:
    """Its backends."""
    with server_processes_of(race_server) as found:
        yield found


@pytest.fixture(
    scope="session",
    params=[GATE, *(pytest.param(name, marks=pytest.mark.long) for name in ("psycopg2", "asyncpg"))],
)
def driver(request: pytest.FixtureRequest) -> str:
    """The driver of the engine of a schedule search."""
    return str(request.param)


@pytest.fixture
def races(race_server: Server, processes: ServerProcesses) -> Iterator[Races]:
    """A small database; no session of a simulation is left in it."""
    with ExitStack() as opened:
        made = Races(race_server, processes, race_server.connect(), opened)
        made.observer.execute(SCHEMA.encode())
        yield made
        opened.close()
        made.observe_anew()
        with made.observer as observer:
            for (session,) in observer.execute(OTHERS).fetchall():
                assert processes.wait_until_gone(session, DEADLINE_SECONDS)


@pytest.fixture(scope="module")
def databases(shop_server: Server) -> Iterator[Databases]:
    """Clean copies of the shop's database; none of them may be left afterwards."""
    made = Databases(shop_server)
    yield made
    made.close()
    assert [] == shop.clones(shop_server)


def tidy(made: Sandbox) -> None:
    """Remove what a failing test has left, so that the next one does not meet it."""
    for process in made.leftovers.processes():
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    for name in made.leftovers.containers():
        made.leftovers.client.api.remove_container(name.lstrip("/"), force=True, v=True)
    made.leftovers.remove_snapshots()
    shutil.rmtree(made.scratch, ignore_errors=True)
