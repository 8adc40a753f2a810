"""What images the daemon has, while other runs add and remove theirs."""

import contextlib
from typing import Any

import docker
from docker.errors import ImageNotFound
from docker.models.images import Image


def images(client: docker.DockerClient, **filters: Any) -> list[Image]:
    """Return the images that pass the daemon's filters, such as label="pgdst.image", but those that go meanwhile.

    docker-py's own list asks for each image again, and raises when one of them has gone since.
    """
    found = []
    for summary in client.api.images(filters=filters):
        with contextlib.suppress(ImageNotFound):
            found.append(client.images.get(summary["Id"]))
    return found
