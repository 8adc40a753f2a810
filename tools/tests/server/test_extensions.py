"""Which extensions the images have: said where the offline one is chosen, and so."""

import socket
from collections.abc import Iterator

import docker
import pytest
from conftest import Sandbox
from pgdst import doctor
from pgdst.server import extensions
from pgdst.server.address import Server
from pgdst.server.docker import image
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.settings import merged
from pgdst.server.spec import ServerSpec, TimeToLive

SAID = (
    "The offline image has vector, which the official one lacks, and lacks its btree_gist, citext, hstore, "
    "pg_stat_statements, pg_trgm, pgcrypto, unaccent, uuid-ossp and other extensions."
)


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default image, in a registry that is not there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        name = f"127.0.0.1:{unused.getsockname()[1]}/postgres:16-alpine"
        monkeypatch.setattr(image, "DEFAULT_IMAGE", name)
        yield name


def test_what_is_said_of_an_images_extensions_is_so(docker_client: docker.DockerClient, shop_server: Server) -> None:
    """A server of whichever of the two images is here is asked."""
    [container] = docker_client.containers.list(filters={"label": f"pgdst.run={shop_server.run_id}"})
    with shop_server.connect() as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    assert container.image is not None
    if image.OFFLINE_IMAGE in container.image.tags:
        assert extensions.offline() == found
    else:
        assert found >= extensions.OFFICIAL
        assert not found & (extensions.offline() - extensions.OFFICIAL)
    assert extensions.differences() == SAID


def test_they_are_said_once_where_the_offline_image_is_chosen(
    sandbox: Sandbox, wanted: str, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = DockerEngine(wanted)
    for _ in range(2):
        engine.start(ServerSpec(sandbox.leftovers.checkout, TimeToLive(600), merged({})))
        engine.remove_dev(sandbox.leftovers.checkout)
    assert 1 == capfd.readouterr().err.count(f"\n{SAID}\n")


@pytest.mark.long
def test_they_are_said_of_a_snapshot_of_it_too(
    sandbox: Sandbox, wanted: str, docker_client: docker.DockerClient
) -> None:
    """Once, in the run that makes it and in the next, which names no image."""
    image.ensure(docker_client, wanted)
    for _ in range(2):
        done = sandbox.with_postgres("--image", image.OFFLINE_IMAGE, "--", "true")
        assert 1 == done.stderr.count(SAID), done.stderr


def test_the_doctor_says_them(wanted: str) -> None:
    lines = [finding.line() for finding in doctor._docker(wanted, "auto")]
    assert f"ok       extensions: {SAID}" in lines


def test_nothing_is_said_of_another_image(docker_client: docker.DockerClient, wanted: str) -> None:
    """What it has is for those to know who have chosen it."""
    found = image.ensure(docker_client, wanted)
    docker_client.images.get(found.reference).tag("pgdst-test/another", "1")
    try:
        lines = [finding.line() for finding in doctor._docker("pgdst-test/another:1", "auto")]
    finally:
        docker_client.images.remove("pgdst-test/another:1", noprune=True)
    assert not [line for line in lines if "extensions" in line]
