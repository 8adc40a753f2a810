"""Listing the daemon's images while other runs add and remove theirs."""

from typing import Any

import docker
from docker.errors import APIError
from docker.models.images import Image


def images(client: docker.DockerClient, **filters: Any) -> list[Image]:
    """Return the images that pass the daemon's filters, such as label="pgdst.image", except those removed meanwhile.

    Images without a name from which others were made are included; the daemon lists them only with all=True.
    docker-py's own list inspects each image and raises when one has been removed since. For one that is just being
    removed the daemon answers 500 ("layer does not exist"), so a second list tells whether it has gone.
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
