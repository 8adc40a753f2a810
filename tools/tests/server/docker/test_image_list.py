"""The list of images, asked for while others add and remove theirs."""

import itertools
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from pgdst.server.docker.image_list import images
from pgdst.server.docker.offline_contents import Entry
from pgdst.server.docker.offline_image import archive


@pytest.fixture
def label() -> Iterator[str]:
    """Give a label that images bear which somebody adds and removes all the time."""
    label = f"pgdst.test-{secrets.token_hex(4)}"
    over = threading.Event()

    def come_and_go() -> None:
        own = docker.from_env()
        for number in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            content = archive({Path("/number"): Entry(0o644, content=str(number).encode())})
            name = f"{label}:{number}"
            own.api.import_image_from_data(content, repository=label, tag=str(number), changes=[f"LABEL {label}=1"])
            own.api.remove_image(name)
        own.close()

    somebody = threading.Thread(target=come_and_go)
    somebody.start()
    yield label
    over.set()
    somebody.join()


def test_an_image_that_goes_while_the_list_is_made_is_left_out(label: str, docker_client: docker.DockerClient) -> None:
    """docker-py's own list fails within some ten times."""
    found = [len(images(docker_client, label=label)) for _ in range(200)]
    assert {0, 1} == set(found)
