"""What the official image promises, on one that is like it: BusyBox, uid 70, a VOLUME, and whatever runc is here.

Each of these works in the offline image with GNU's tools, which is what a developer without a registry sees.
"""

import os
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import official_look_alike
import psycopg
import pytest
from conftest import KIT, Sandbox, leased_server
from docker.models.images import Image
from leftovers import REACHED_SECONDS, eventually, find
from official_look_alike import NoProgramError
from pgdst import project
from pgdst.server import full_disk, settings
from pgdst.server.address import Server
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.lifetime.lease import new, release
from pgdst.server.processes import processes_of
from pgdst.server.spec import ServerSpec
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.gate.server_processes import server_processes_of
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.uniform import Uniform
from races import SCHEMA, Races, deposit

KEPT_SECONDS = 600
GONE_SECONDS = 10  # a volume of a neighbour's test is seen as well
TEST_SECONDS = 120


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """Fail a test that lasts too long: a shell that is given a command's wrong option may never answer."""

    def too_late(*_: object) -> None:
        pytest.fail(f"not within {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def image(docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, for this process's tests only."""
    if sys.platform != "linux" and "CI" not in os.environ:
        pytest.skip("its programs are those of a Linux machine, which this one is not")
    scratch = tmp_path_factory.mktemp("look-alike")
    with ExitStack() as opened:
        try:
            name = f"pgdst-test/official-look-alike:{secrets.token_hex(4)}"
            made = opened.enter_context(official_look_alike.built(docker_client, name, scratch))
        except NoProgramError as error:
            pytest.fail(str(error))
        yield made


@pytest.fixture(scope="module")
def engine(image: Image) -> DockerEngine:
    """An engine that starts servers from it."""
    return DockerEngine(image.tags[0])


@pytest.fixture
def there(sandbox: Sandbox, image: Image) -> Sandbox:
    """A tiny backend whose runs use it."""
    sandbox.environment["PGDST_IMAGE"] = image.tags[0]
    return sandbox


@pytest.fixture(scope="module")
def server(engine: DockerEngine) -> Iterator[Server]:
    """A server of it."""
    with leased_server(engine, SCHEMA.encode()) as started:
        yield started


@pytest.fixture
def races(server: Server) -> Iterator[Races]:
    """Clients of the server, and what stops them."""
    with server_processes_of(server) as backends, ExitStack() as opened:
        made = Races(server, backends, server.connect(), opened)
        yield made
        made.observer.close()


def inside(client: docker.DockerClient, server: Server, *command: str) -> str:
    """Return what a command prints in the server's container."""
    [container] = client.containers.list(filters={"label": f"pgdst.run={server.run_id}"})
    done = container.exec_run(list(command))
    assert isinstance(done.output, bytes)
    return done.output.decode()


def test_it_is_like_the_official_image(docker_client: docker.DockerClient, server: Server, image: Image) -> None:
    """Else the others would prove nothing: a VOLUME, no GNU command, and a server of uid 70."""
    assert {official_look_alike.PGDATA: {}} == image.attrs["Config"]["Volumes"]
    for command in ("tar", "ls", "sleep", "cat", "sh"):
        assert "BusyBox" in inside(docker_client, server, command, "--help"), command
    owners = 'stat -c "%u %a" "$PGDATA" && read -r postgres <"$PGDATA/postmaster.pid" && stat -c %u "/proc/$postgres"'
    assert "70 700\n70\n" == inside(docker_client, server, "sh", "-c", owners)


@pytest.mark.parametrize("snapshot", [pytest.param("off", marks=pytest.mark.long), "auto"])
def test_a_run_comes_to_its_first_statement(there: Sandbox, snapshot: str) -> None:
    """Initialised and migrated; and from a snapshot that was made of that, whose archive BusyBox packs and unpacks."""
    shows = "SELECT count(*), current_setting('server_version_num')::int / 10000 FROM things"
    said = []
    for _ in range(2):
        done = there.with_postgres("--snapshot", snapshot, "--", "psql", "-XAtc", shows)
        assert (0, "0|16\n") == (done.returncode, done.stdout), done.stderr
        assert {} == there.leftovers.left_after(GONE_SECONDS)
        said.append(re.findall("^(Image|Snapshot) ", done.stderr, re.MULTILINE))
    made_and_used = [["Image", "Snapshot"], ["Snapshot"]]
    assert (made_and_used if snapshot == "auto" else [["Image"], ["Image"]]) == said


@pytest.mark.long
def test_the_disk_that_is_full_is_the_servers_own(there: Sandbox) -> None:
    """In a snapshot's container, which is never root."""
    query = full_disk.write_to(DockerEngine.full_file)
    done = there.with_postgres("--", "psql", "-v", "VERBOSITY=verbose", "-c", query)
    assert "made from" in done.stderr
    assert "ERROR:  53100: could not write to COPY file: No space left on device" in done.stderr


def test_sigkill_to_all_of_a_run_leaves_no_container_and_no_volume(there: Sandbox) -> None:
    """Nobody is left to remove anything: the container ends with its standard input, and the VOLUME is no volume."""
    for snapshot in ("off", "auto"):
        run = there.start(KIT / "tools" / "with_postgres.sh", "--snapshot", snapshot, "--", "sleep", "300")
        eventually(lambda: list(find(there.leftovers.processes(), "sleep")), REACHED_SECONDS, "the command")
        assert there.leftovers.containers()
        os.killpg(run.pid, signal.SIGKILL)  # at once, or the shell would begin to remove what its command has left
        run.communicate()
        assert {} == there.leftovers.left_after(GONE_SECONDS), snapshot


@pytest.mark.long
def test_db_up_and_db_down_are_a_database_and_none(there: Sandbox) -> None:
    """A time to live in the container, a second call that names the same, a shell in it, and nothing afterwards."""
    up = there.script("db_up.py")
    assert 0 == up.returncode, up.stderr
    assert up.stdout == there.script("db_up.py").stdout == there.script("db_url.py").stdout
    with psycopg.connect(up.stdout.strip().replace("+psycopg", "")) as connection:
        connection.execute("INSERT INTO things VALUES (7)")
    assert "7\n" == there.script("db_shell.py", "--", "-XAtc", "SELECT id FROM things").stdout
    assert "Removed " in there.script("db_down.py").stderr
    assert {} == there.leftovers.left_after(GONE_SECONDS)


@pytest.mark.long
def test_a_database_removes_itself_after_its_time(there: Sandbox) -> None:
    """The container's shell counts the seconds."""
    assert 0 == there.script("db_up.py", "--ttl-hours", f"{6 / 3600:.6f}").returncode
    assert there.leftovers.left()
    eventually(lambda: not there.leftovers.left(), 12, "the database removes itself")


def test_a_database_that_is_kept_outlives_its_lease(
    sandbox: Sandbox, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container's shell reads for how long, at the end of its input."""
    monkeypatch.setattr("tempfile.tempdir", str(sandbox.scratch))
    checkout = project.load(start=sandbox.root).checkout
    lease, descriptor = new()
    started = engine.start(ServerSpec(checkout, lease, settings.merged({})))
    name = engine.keep_run(lease, checkout, KEPT_SECONDS)
    release(lease, descriptor)
    with started.connect() as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
    assert [name] == engine.remove_dev(checkout)
    assert {} == sandbox.leftovers.left_after(GONE_SECONDS)


def test_a_process_that_is_stopped_does_nothing_until_it_is_resumed(server: Server) -> None:
    """SIGSTOP and SIGCONT by the container's shell, which waits until they have taken effect."""
    with processes_of(server) as processes, server.connect() as connection:
        pgconn = connection.pgconn
        processes.stop(connection.info.backend_pid)
        pgconn.send_query(b"SELECT 1")
        pgconn.flush()
        with server.connect() as observer:
            assert ("idle",) == observer.execute(
                "SELECT state FROM pg_stat_activity WHERE pid = %s", (connection.info.backend_pid,)
            ).fetchone()
        processes.resume(connection.info.backend_pid)
        result = pgconn.get_result()
        assert result is not None
        assert b"1" == result.get_value(0, 0)
        assert pgconn.get_result() is None


def test_those_who_wait_for_one_lock_get_it_in_the_same_order(races: Races) -> None:
    """The scheduler stops those that wait, and lets one after the other go on: the trace is the same each time."""
    engine = races.engine()
    simulation = races.simulation(engine)
    hashes = {races.run(simulation, [deposit(engine, 1)] * 4, Uniform(3)).trace.hexdigest() for _ in range(3)}
    assert 4 == races.balances()[0]
    assert 1 == len(hashes)


@pytest.mark.parametrize(
    ("fault", "outcome", "left"),
    [
        (Fault.CRASH, "raised OperationalError", 0),
        (Fault.FROZEN, "returned", 1),
        (Fault.DISK_FULL, "raised OperationalError 53100", 0),
    ],
)
def test_a_fault_that_the_container_takes_part_in_strikes(races: Races, fault: Fault, outcome: str, left: int) -> None:
    """SIGKILL of a server process, after which the server recovers; a server that stands still; a disk without room."""
    engine = races.engine()
    simulation = races.simulation(engine)
    result = races.run(simulation, [deposit(engine, 1)], Schedule.parse(f"ada*2 ada!{fault}"))
    races.observe_anew()
    assert (outcome, left) == (str(result.outcomes["ada"]), races.balances()[0])
    assert {} == races.run(simulation, [deposit(engine, 1)] * 2, Uniform(0)).errors
