"""Snapshots: used when nothing has changed, never when anything has, and nothing but them is left."""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from conftest import ENGINES, KIT, PYTHON, QUICKER_ENGINE, Sandbox
from docker.errors import ImageNotFound
from leftovers import REACHED_SECONDS, eventually, find
from pgdst import project
from pgdst.database.snapshot import contents as snapshot_contents
from pgdst.installation import PACKAGE
from pgdst.server import full_disk, snapshot
from pgdst.server.address import Server
from pgdst.server.docker import offline_image, snapshot_image
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.docker.image_list import images
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.server.password import set_password
from tiny_backend import Backend

READS_SQL = "op.execute(open('seed.sql').read())"
COUNT = "psql -XAtc 'SELECT count(*) FROM things'"


@pytest.fixture
def sandbox(cold_sandbox: Sandbox) -> Sandbox:
    """A backend of which there is no snapshot."""
    return cold_sandbox


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    """An engine, for a backend of which a migration reads an SQL file and env.py a variable."""
    sandbox.environment["PGDST_ENGINE"] = str(request.param)
    (sandbox.root / "seed.sql").write_text("INSERT INTO things VALUES (1)")
    Backend(sandbox.root).migrate("0002_seed", READS_SQL, "0001_things")
    env = sandbox.root / "migrations" / "env.py"
    env.write_text(f"import os\nassert os.environ.get('TINY_VARIABLE') != 'wrong'\n{env.read_text()}")
    return str(request.param)


def started_from(sandbox: Sandbox, *command: str | Path, **environment: str) -> tuple[str, str]:
    """Run a command and return the name of the snapshot that its server started from, and what it printed."""
    done = sandbox.with_postgres("--", *(command or ("sh", "-c", COUNT)), **environment)
    assert 0 == done.returncode, done.stdout + done.stderr
    return re.findall(r"^Snapshot (\S+), made from", done.stderr, re.MULTILINE)[0], done.stdout


def append(path: Path, text: str) -> None:
    """Add text to a file."""
    path.write_text(path.read_text() + text)


CHANGES: dict[str, Callable[[Sandbox], object]] = {
    "an edited migration": lambda it: append(it.root / "migrations" / "versions" / "0001_things.py", "# edited\n"),
    "a new migration": lambda it: Backend(it.root).migrate("0003_more", "pass", "0002_seed"),
    "an edited model": lambda it: append(it.root / "tables.py", "# edited\n"),
    "a new module": lambda it: (it.root / "alembic_things.py").write_text(""),
    "an SQL file that a migration reads": lambda it: append(it.root / "seed.sql", ", (2)"),
    "Alembic's configuration": lambda it: append(it.root / "alembic.ini", "# edited\n"),
    "an edited env.py": lambda it: append(it.root / "migrations" / "env.py", "# edited\n"),
    "a setting": lambda it: Backend(it.root).configure('backend = "."\nsettings = { work_mem = "5MB" }'),
    "whether a simulation sets SQL's time": lambda it: Backend(it.root).configure(
        'backend = "."\nsql_determinism = true'
    ),
    "where modules are looked for": lambda it: it.environment.update(PYTHONPATH=str(it.root / "lib")),
    "a variable that env.py reads": lambda it: it.environment.update(TINY_VARIABLE="other"),
}


@pytest.mark.parametrize(
    "name",
    [
        "manifest.py",
        "commands/migrate.py",
        "server/settings.py",
        "server/docker/offline/docker-entrypoint.sh",
        "database/sql_time/sql_determinism.sql",
    ],
)
def test_each_source_of_the_kit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """But those of the simulation, in whatever folder it is."""
    copy = shutil.copytree(PACKAGE, tmp_path / "pgdst")
    monkeypatch.setattr(snapshot_contents, "PACKAGE", copy)
    before = snapshot_contents._kit()
    append(copy / "simulation" / "scheduling" / "scheduler.py", "# edited")
    assert before == snapshot_contents._kit()
    append(copy / name, "\n")
    assert before != snapshot_contents._kit()


# All take a minute; what is left to `make test` is one of each kind.
A_FEW = ("an SQL file that a migration reads", "a variable that env.py reads")


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("engine", QUICKER_ENGINE, indirect=True)
@pytest.mark.parametrize("changes", [A_FEW, pytest.param(tuple(CHANGES), marks=pytest.mark.long)], ids=["few", "all"])
def test_what_has_not_changed_is_used_again_and_what_has_is_not(sandbox: Sandbox, changes: tuple[str, ...]) -> None:
    """Each change makes another snapshot; without one the same is used."""
    seen, (first, rows) = set(), started_from(sandbox)
    assert ("1\n", first) == (rows, started_from(sandbox)[0])
    for what in changes:
        seen.add(first)
        CHANGES[what](sandbox)
        name, rows = started_from(sandbox)
        assert name not in seen, what
        assert ("1\n" if "(2)" not in (sandbox.root / "seed.sql").read_text() else "2\n") == rows, what
        assert name == started_from(sandbox)[0], what
        first = name


@pytest.mark.long
@pytest.mark.usefixtures("engine")
def test_a_variable_decides_as_without_a_snapshot(sandbox: Sandbox) -> None:
    """A value that the migrations refuse is refused though there is a snapshot with another."""
    started_from(sandbox)
    done = sandbox.with_postgres("--", "true", TINY_VARIABLE="wrong")
    assert 1 == done.returncode
    assert "AssertionError" in done.stderr


@pytest.mark.long
def test_a_migration_that_breaks_is_seen_at_once(sandbox: Sandbox, engine: str) -> None:
    """The error names the revision, and nothing of the attempt is left, nor a snapshot of it."""
    started_from(sandbox)
    Backend(sandbox.root).migrate("0003_broken", "op.execute('SELECT 1/0')", "0002_seed")
    done = sandbox.with_postgres("--", "true")
    assert 1 == done.returncode
    assert "in revision 0003_broken (0003_broken.py, line 9)" in done.stderr
    assert 1 == done.stderr.count("Error: ")
    assert (1 if engine == "docker" else 0) == len(sandbox.leftovers.snapshots())


def test_off_neither_uses_nor_makes_one(sandbox: Sandbox, engine: str) -> None:
    """SNAPSHOT=off initialises and migrates, in either command."""
    done = sandbox.with_postgres("--snapshot", "off", "--", "sh", "-c", COUNT)
    assert (0, "1\n") == (done.returncode, done.stdout), done.stderr
    assert "Snapshot" not in done.stderr
    assert 0 == sandbox.script("db_up.py", PGDST_SNAPSHOT="off").returncode
    assert 0 == sandbox.script("db_down.py").returncode
    assert [] == sandbox.leftovers.snapshots()
    assert not (sandbox.scratch / "cache").exists(), engine


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("engine", QUICKER_ENGINE, indirect=True)
def test_a_run_without_a_snapshot_knows_what_its_database_was_migrated_from(sandbox: Sandbox) -> None:
    """So its tests need not migrate it again."""
    done = sandbox.with_postgres("--snapshot", "off", "--", "sh", "-c", 'cat "$PGDST_MANIFEST"')
    assert 0 == done.returncode, done.stderr
    assert '"head":"0002_seed"' in done.stdout


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("engine", QUICKER_ENGINE, indirect=True)
def test_migrations_that_fail_without_a_snapshot_leave_nothing_and_show_the_log(sandbox: Sandbox) -> None:
    Backend(sandbox.root).migrate("0003_broken", "op.execute('SELECT 1/0')", "0002_seed")
    done = sandbox.with_postgres("--snapshot", "off", "--", "true")
    assert 1 == done.returncode
    log, error = done.stderr.split("The last lines of the server's log:")[1].split("Error: ")
    assert "division by zero" in log
    assert "in revision 0003_broken (0003_broken.py, line 9)" in error


@pytest.mark.usefixtures("engine")
def test_the_template_is_in_the_snapshot(sandbox: Sandbox) -> None:
    """Clones come from it: pytest makes none of its own."""
    query = "SELECT datistemplate, datallowconn FROM pg_database WHERE datname = 'pgdst_template'"
    assert "t|f\n" == started_from(sandbox, "psql", "-XAtc", query)[1]


@pytest.mark.long
@pytest.mark.usefixtures("engine")
def test_every_server_has_a_password_of_its_own(sandbox: Sandbox) -> None:
    """Two servers from one snapshot: the passwords differ, and neither takes the other's."""
    program = "import os, sys; print(os.environ['PGPASSWORD'])"
    passwords = [started_from(sandbox, PYTHON, "-c", program)[1].strip() for _ in range(2)]
    assert 2 == len(set(passwords))
    done = sandbox.with_postgres("--", "sh", "-c", f"PGPASSWORD={passwords[0]} psql -c 'SELECT 1'")
    assert "password authentication failed" in done.stderr


@pytest.mark.long
def test_the_disk_that_is_full_is_the_servers_own(sandbox: Sandbox, engine: str) -> None:
    """It may open a file there, although a snapshot's container does without root, and finds no room in it."""
    file = (DockerEngine if engine == "docker" else EmbeddedEngine).full_file
    done = sandbox.with_postgres("--", "psql", "-v", "VERBOSITY=verbose", "-c", full_disk.write_to(file))
    assert "made from" in done.stderr
    assert "ERROR:  53100: could not write to COPY file: No space left on device" in done.stderr


@pytest.mark.long
def test_the_snapshots_own_password_opens_nothing(sandbox: Sandbox, docker_client: docker.DockerClient) -> None:
    """What the image's label says is of no use once the server has been handed out."""
    name, _ = started_from(sandbox, "true")
    password = docker_client.images.get(name).labels[snapshot_image.PASSWORD]
    done = sandbox.with_postgres("--", "sh", "-c", f"PGPASSWORD={password} psql -c 'SELECT 1'")
    assert "password authentication failed" in done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("engine")
def test_many_at_once_get_the_same_database(sandbox: Sandbox) -> None:
    """Whether one waits, and says so once, or all make it: it is right, and nothing but the snapshot is left."""
    command = ("--", "sh", "-c", COUNT)
    with ThreadPoolExecutor(3) as pool:
        runs = [done.result() for done in [pool.submit(sandbox.with_postgres, *command) for _ in range(3)]]
    assert ["1\n"] * 3 == [run.stdout for run in runs]
    for run in runs:
        said = [line for line in run.stderr.splitlines() if line.startswith(("Image ", "Waiting ", "Snapshot "))]
        assert len(said) == len(set(said)), run.stderr
    assert {} == sandbox.leftovers.left_after()


def test_a_killed_maker_leaves_nothing_and_the_next_makes_it(sandbox: Sandbox, engine: str) -> None:
    """SIGKILL to db_up.py while the migrations run."""
    process = sandbox.start(KIT / "tools" / "with_postgres.sh", "--", "true")
    eventually(lambda: list(find(sandbox.leftovers.processes(), "migrate")), REACHED_SECONDS, "the migrations")
    for found in find(sandbox.leftovers.processes(), "db_up.py"):
        found.kill()
    process.communicate(timeout=30)
    assert 0 != process.returncode
    assert {} == sandbox.leftovers.left_after(REACHED_SECONDS), engine
    assert [] == sandbox.leftovers.snapshots()
    assert "1\n" == started_from(sandbox)[1]


def test_a_killed_maker_of_a_long_lived_database_leaves_nothing(sandbox: Sandbox) -> None:
    """Without a run around it: the container that the snapshot is made in dies with db_up.py."""
    process = sandbox.start(PYTHON, KIT / "tools" / "db_up.py")
    eventually(lambda: list(find(sandbox.leftovers.processes(), "migrate")), REACHED_SECONDS, "the migrations")
    process.kill()
    process.communicate()
    assert {} == sandbox.leftovers.left_after(REACHED_SECONDS)


@pytest.fixture
def image(docker_client: docker.DockerClient) -> Iterator[Callable[[], str]]:
    """Make Postgres images that differ, all under one name; removed at the end."""
    name = f"pgdst-test-{secrets.token_hex(4)}:1"  # not in pgdst/, where a sweep of another test would remove it
    made: list[str] = []

    def make() -> str:
        offline = offline_image.present(docker_client)
        assert offline is not None, "an earlier start has assembled it"
        container = docker_client.api.create_container(str(offline.id))["Id"]
        labels = {"pgdst.image": "test", "number": str(len(made))}
        made.append(docker_client.api.commit(container, repository=name[:-2], tag="1", conf={"Labels": labels})["Id"])
        docker_client.api.remove_container(container, v=True)
        return name

    yield make
    for one in made:
        for child in images(docker_client, label=f"{snapshot_image.BASE}={one}"):
            docker_client.api.remove_image(str(child.id), force=True, noprune=True)
        docker_client.api.remove_image(one, force=True, noprune=True)


@pytest.mark.long
@pytest.mark.alone
def test_another_image_makes_another_snapshot(sandbox: Sandbox, image: Callable[[], str]) -> None:
    """Under another name, and under the same name when it has been pulled anew."""
    first = started_from(sandbox, "true")[0]
    second = started_from(sandbox, "true", PGDST_IMAGE=image())[0]
    third = started_from(sandbox, "true", PGDST_IMAGE=image())[0]
    assert 3 == len({first, second, third})
    assert first == started_from(sandbox, "true")[0]


def test_a_forbidden_stand_in_is_not_used_from_a_snapshot(sandbox: Sandbox, docker_client: docker.DockerClient) -> None:
    """OFFLINE_IMAGE=never asks the registry though a snapshot made from the offline image is there."""
    try:
        docker_client.images.get("postgres:16-alpine")
        pytest.skip("the official image is here")
    except ImageNotFound:
        started_from(sandbox, "true")
    done = sandbox.with_postgres("--offline-image", "never", "--", "true")
    assert 1 == done.returncode
    assert "OFFLINE_IMAGE=auto" in done.stderr


@pytest.mark.long
def test_only_the_last_few_are_kept(sandbox: Sandbox) -> None:
    """The oldest goes when a fifth is made, and nobody else's."""
    sandbox.environment["PGDST_ENGINE"] = "embedded"
    names = []
    for number in range(snapshot.KEEP_OF_CHECKOUT + 1):
        append(sandbox.root / "tables.py", f"# {number}\n")
        names.append(started_from(sandbox, "true")[0])
    left = {path.name for path in (sandbox.scratch / "cache" / "pgdst" / "snapshots").iterdir()}
    assert set(names[1:]) == left


def test_many_may_give_the_password_at_once(shop_server: Server) -> None:
    """Postgres refuses two changes of one role at once ("tuple concurrently updated")."""

    def give(_number: int) -> None:
        with shop_server.connect() as connection:
            for _ in range(20):
                set_password(connection, shop_server.user, shop_server.password)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give, range(8)))


def test_which_are_superseded() -> None:
    """All but the last few of a checkout, and of all; the newest come first."""
    mine = [(f"mine{number}", "me") for number in range(snapshot.KEEP_OF_CHECKOUT + 2)]
    others = [(f"other{number}", str(number)) for number in range(snapshot.KEEP)]
    assert [] == snapshot.superseded(mine[:-2], "me")
    assert ["mine4", "mine5"] == snapshot.superseded(mine, "me")
    assert ["other11"] == snapshot.superseded([("mine0", "me"), *others], "me")


@pytest.mark.alone
@pytest.mark.long  # sweep.py removes the images that this machine has for its next runs
@pytest.mark.usefixtures("engine")
def test_doctor_lists_them_and_sweep_removes_them(sandbox: Sandbox) -> None:
    """By name; afterwards there is none of this checkout."""
    name, _ = started_from(sandbox, "true")
    assert name in sandbox.script("doctor.py").stdout
    assert name in sandbox.script("sweep.py").stderr
    assert [] == sandbox.leftovers.snapshots()
    assert name not in sandbox.script("doctor.py").stdout


@pytest.mark.long
def test_a_migration_after_the_start_makes_the_template_anew(sandbox: Sandbox) -> None:
    """The fixtures notice a migration that was added while the run was under way, and clones have it."""
    (sandbox.root / "tests" / "test_it.py").write_text(
        "import psycopg\n"
        "def test_it(database):\n"
        "    with psycopg.connect(database.replace('+psycopg', '')) as connection:\n"
        "        assert connection.execute('SELECT version_num FROM alembic_version').fetchone() == ('0002_late',)\n"
    )
    text = (sandbox.root / "migrations" / "versions" / "0001_things.py").read_text()
    late = re.sub(
        "op.create_table.*", "pass", text.replace("None", "'0001_things'").replace('"0001_things"', "'0002_late'")
    )
    (sandbox.root / "late.py").write_text(late)
    program = f'cp late.py migrations/versions/0002_late.py && "{PYTHON}" -m pytest -q tests/test_it.py'
    done = sandbox.with_postgres("--", "sh", "-c", program, PYTHONPATH=str(KIT / "tools"))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_cache_that_others_can_write_is_refused(sandbox: Sandbox) -> None:
    """Somebody else's data directory is never started."""
    sandbox.environment["PGDST_ENGINE"] = "embedded"
    cache = sandbox.scratch / "cache" / "pgdst" / "snapshots"
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    done = sandbox.with_postgres("--", "true")
    assert 1 == done.returncode
    assert f"{cache} belongs to, or can be written by, somebody else" in done.stderr


def test_a_package_that_is_installed_anew_changes_the_key(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its name, its version and the moment of its installation count."""
    found = project.load(start=sandbox.root)
    folder = tmp_path / "site-packages"
    (folder / "thing-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    keys = [snapshot_contents.key(found, {})]
    os.utime(folder / "thing-1.0.dist-info", (1, 1))
    keys.append(snapshot_contents.key(found, {}))
    (folder / "thing-1.0.dist-info").rename(folder / "thing-2.0.dist-info")
    keys.append(snapshot_contents.key(found, {}))
    keys.append(snapshot_contents.key(found, {"work_mem": "5MB"}))
    assert 4 == len(set(keys))
    assert keys[-1] == snapshot_contents.key(found, {"work_mem": "5MB"})


@pytest.mark.long
def test_timings_say_where_the_time_went(sandbox: Sandbox) -> None:
    """A line a stage, on stderr alone, only when asked for."""
    done = sandbox.with_postgres("--", "true", PGDST_TIMINGS="1")
    stages = re.findall(r"^timing: +\d+\.\d{3} s  (.*)$", done.stderr, re.MULTILINE)
    assert {"make a snapshot", "create", "start", "ready", "removal", "the whole run"} <= set(stages)
    assert "timing" not in done.stdout + sandbox.with_postgres("--", "true").stderr
