"""What images the daemon has, while other runs add and remove theirs."""

from typing import Any

import docker
from docker.errors import APIError
from docker.models.images import Image


def images(client: docker.DockerClient, **filters: Any) -> list[Image]:
    """Return the images that pass the daemon's filters, such as label="pgdst.image", but those that go meanwhile.

    Also those that have lost their name while others are made from them, which the daemon lists only among all.
    docker-py's own list asks for each image again, and raises when one of them has gone since. One that is just going
    is answered by 500 ("layer does not exist"), so whether it has gone is for another list to say.
    """
    found = []
    for image in _ids(client, filters):
        try:
            found.append(client.images.get(image))
        except APIError:
            if image in _ids(client, filters):
                raise
    return found


def _ids(client: docker.DockerClient, filters: dict[str, Any]) -> list[str]:
    return [summary["Id"] for summary in client.api.images(filters=filters, all=True)]
