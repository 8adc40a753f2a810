"""The Docker engine: what a container of ours looks like, and that it is gone when it should be."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import docker
import psutil
import psycopg
import pytest
from conftest import Sandbox
from leftovers import eventually
from pgdst import project
from pgdst.errors import DockerNotRunningError, ServerNotReadyError
from pgdst.server import settings
from pgdst.server.address import Server
from pgdst.server.docker import network
from pgdst.server.docker.endpoint import Endpoint
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.engine import up
from pgdst.server.lifetime.lease import Lease, new, release
from pgdst.server.lifetime.ownership import owner
from pgdst.server.spec import ServerSpec, TimeToLive
from relay import relay

ASKERS = 4
ROUNDS = 3


@pytest.fixture
def lease(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """A lease that ends with the test."""
    monkeypatch.setattr("tempfile.tempdir", str(sandbox.scratch))
    held, descriptor = new()
    yield held
    release(held, descriptor)


def spec(sandbox: Sandbox, lifetime: Lease | TimeToLive, **overrides: str) -> ServerSpec:
    """Return the spec of a server for the sandbox's project."""
    return ServerSpec(project.load(start=sandbox.root).checkout, lifetime, settings.merged(overrides))


@pytest.mark.parametrize("published_host", ["", "127.0.0.1"])
def test_a_run_is_on_loopback_in_memory_and_labelled(
    sandbox: Sandbox, lease: Lease, monkeypatch: pytest.MonkeyPatch, published_host: str
) -> None:
    """Loopback only, published or not, no volume, our labels, auto-removal; the password not in argv."""
    monkeypatch.setenv("PGDST_PUBLISHED_HOST", published_host)
    engine = DockerEngine()
    server = engine.start(spec(sandbox, lease))
    [name] = sandbox.leftovers.containers()
    found = engine.client.containers.get(name.lstrip("/")).attrs
    listening = [tuple(one.laddr) for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert [("127.0.0.1", server.port)] == [address for address in listening if server.port in address]
    if published_host or not network.is_shared(engine.endpoint, engine.info()):
        assert [{"HostIp": "127.0.0.1", "HostPort": str(server.port)}] == found["NetworkSettings"]["Ports"]["5432/tcp"]
    else:
        assert ("host", {}) == (found["HostConfig"]["NetworkMode"], found["NetworkSettings"]["Ports"])
    assert [] == found["Mounts"]
    assert {"pgdst.run", "pgdst.kind", "pgdst.checkout", "pgdst.owner"} <= set(found["Config"]["Labels"])
    assert found["HostConfig"]["AutoRemove"]
    assert server.password not in str(found["Args"]) + str(found["Path"])
    assert [] == engine.remove_run(lease, log_lines=0)
    assert [] == sandbox.leftovers.containers()


def test_every_setting_is_in_force_and_the_wrong_password_is_refused(sandbox: Sandbox, lease: Lease) -> None:
    """SHOW says what settings.py says; the server asks for the password."""
    engine = DockerEngine()
    server = engine.start(spec(sandbox, lease))
    with server.connect() as connection:
        shown = {one.name: connection.execute(f"SHOW {one.name}").fetchone() for one in settings.SETTINGS}
        assert {one.name: (one.value,) for one in settings.SETTINGS} == shown
        assert (lease.run_id,) == connection.execute("SHOW pgdst.run_id").fetchone()
        assert ("C", "UTF8") == connection.execute(
            "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=server.host, port=server.port, user=server.user, password="wrong", dbname=server.database)
    engine.remove_run(lease, log_lines=0)


def test_a_container_that_dies_at_start_is_reported_within_two_seconds(sandbox: Sandbox, lease: Lease) -> None:
    """From its death on: exit code and last log lines, long before the deadline."""
    engine = DockerEngine()
    begin = time.monotonic()
    with pytest.raises(ServerNotReadyError, match=r"exit code 1\. .*\n(.*\n)*.*shared_buffers"):
        engine.start(spec(sandbox, lease, shared_buffers="nonsense"))
    assert 10 > time.monotonic() - begin  # creating, starting and initdb included, on a loaded machine
    assert [] == sandbox.leftovers.containers()


@pytest.mark.long
def test_many_who_ask_for_a_checkouts_database_at_once_get_the_same(sandbox: Sandbox) -> None:
    """One starts it; the others wait, even where Docker has its name taken before its container can be seen."""
    wanted = spec(sandbox, TimeToLive(600))
    for _ in range(ROUNDS):
        together = threading.Barrier(ASKERS)

        def ask(barrier: threading.Barrier = together) -> tuple[Server, bool]:
            engine = DockerEngine()
            barrier.wait()
            return up(engine, wanted)

        with ThreadPoolExecutor(ASKERS) as pool:
            answers = [asked.result() for asked in [pool.submit(ask) for _ in range(ASKERS)]]
        assert 1 == len(DockerEngine().remove_dev(wanted.checkout))
        assert 1 == len({server for server, _ in answers})
        assert [False] * (ASKERS - 1) + [True] == sorted(new for _, new in answers)


def test_a_daemon_over_tcp_works_and_its_loss_ends_the_container(
    sandbox: Sandbox, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the connection is lost the container ends by itself, and one error names the endpoint.

    A proxy for what is elsewhere is not asked for this machine's own daemon.
    """
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as listener, relay(listener) as relayed:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        engine = DockerEngine(endpoint=Endpoint(url, "the test says so", {"base_url": url}))
        server = engine.start(spec(sandbox, lease))
        with server.connect() as connection:
            assert (1,) == connection.execute("SELECT 1").fetchone()
        relayed.cut()
        eventually(lambda: not sandbox.leftovers.containers(), 2, "the container ends with its stream")
        with pytest.raises(DockerNotRunningError, match=url):
            engine.remove_run(lease, log_lines=0)


@pytest.mark.alone
def test_a_leftover_of_a_dead_run_is_found_and_swept(sandbox: Sandbox, docker_client: docker.DockerClient) -> None:
    """A container that was created and never started, by a process that is dead, is a leftover; doctor names it."""
    sandbox.script("db_up.py")
    [ours] = sandbox.leftovers.containers()
    made = docker_client.containers.get(ours.lstrip("/")).attrs
    labels = {**made["Config"]["Labels"], "pgdst.owner": dead_owner()}
    orphan = docker_client.api.create_container(made["Image"], name=f"pgdst-orphan-{os.getpid()}", labels=labels)["Id"]
    try:
        doctor = sandbox.script("doctor.py")
        assert 1 == doctor.returncode
        assert f"problem  leftover containers: pgdst-orphan-{os.getpid()}" in doctor.stdout
        assert f"Removed pgdst-orphan-{os.getpid()}." in sandbox.script("sweep.py").stderr
        assert [ours] == sandbox.leftovers.containers()
    finally:
        with suppress(docker.errors.NotFound):
            docker_client.api.remove_container(orphan, force=True, v=True)
        sandbox.script("db_down.py")


ODD_OWNERS = ["[1]", "null", "{}", '"x"', '{"host": 1, "pid": "x", "started": []}', "[" * 100_000, "x" * 10_000_000]


@pytest.mark.alone
def test_labels_of_others_are_data(sandbox: Sandbox, docker_client: docker.DockerClient) -> None:
    """What cannot be read is not ours: it is named by doctor, and stands in nobody's way; nor is what has no owner."""
    sandbox.script("db_up.py")
    [up] = sandbox.leftovers.containers()
    made = docker_client.containers.get(up.lstrip("/")).attrs
    ours = {name: value for name, value in made["Config"]["Labels"].items() if name != "pgdst.owner"}
    odd = [{"pgdst.run": "x", "pgdst.owner": text} for text in ODD_OWNERS]
    others = [
        docker_client.api.create_container(made["Image"], name=f"pgdst-odd-{os.getpid()}-{number}", labels=labels)["Id"]
        for number, labels in enumerate([*odd, ours])
    ]
    try:
        said = sandbox.script("doctor.py").stdout
        assert all(f"pgdst-odd-{os.getpid()}-{number}" in said for number in range(len(others))), said
        assert 0 == sandbox.with_postgres("--", "true").returncode
        assert 0 == sandbox.script("db_down.py").returncode
        assert 0 == sandbox.script("db_up.py").returncode
        assert 0 == sandbox.script("db_down.py").returncode
        assert all(docker_client.api.inspect_container(one) for one in others)
    finally:
        for one in others:
            docker_client.api.remove_container(one, force=True, v=True)
        sandbox.script("db_down.py")


@pytest.mark.alone
def test_db_down_removes_what_a_dead_maker_of_a_snapshot_left(
    sandbox: Sandbox, docker_client: docker.DockerClient
) -> None:
    """A container that was created and never started by one that is dead is named; a living maker's is not touched."""
    sandbox.script("db_up.py")
    [up] = sandbox.leftovers.containers()
    made = docker_client.containers.get(up.lstrip("/")).attrs
    labels = {**made["Config"]["Labels"], "pgdst.kind": "snapshot"}
    dead, living = f"pgdst-dead-{os.getpid()}", f"pgdst-living-{os.getpid()}"
    makers = [
        docker_client.api.create_container(made["Image"], name=name, labels={**labels, "pgdst.owner": by})["Id"]
        for name, by in ((dead, dead_owner()), (living, json.dumps(owner())))
    ]
    try:
        said = sandbox.script("db_down.py").stderr
        assert [f"/{living}"] == sandbox.leftovers.containers()
        assert f"Removed {up.lstrip('/')}.\nRemoved {dead}.\n" == said
    finally:
        for maker in makers:
            with suppress(docker.errors.NotFound):
                docker_client.api.remove_container(maker, force=True, v=True)


def dead_owner() -> str:
    """Return the owner's mark of a process of this host that is no more."""
    return json.dumps({**owner(), "pid": 1, "started": 1.0})
