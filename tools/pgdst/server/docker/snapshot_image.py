"""Snapshots as images on the Docker daemon: made by committing a container, found and pruned by label."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from pgdst.errors import ServerNotReadyError
from pgdst.manifest import Manifest, digest, from_json
from pgdst.server.deadline import Deadline
from pgdst.server.docker import offline_image
from pgdst.server.docker.image import Image
from pgdst.server.docker.podman import instructions
from pgdst.server.docker.streams import execute
from pgdst.server.snapshot import superseded
from pgdst.server.spec import Recipe

LABEL = "pgdst.snapshot"  # = Recipe.key_on(the name of the image that was wanted)
BASE = "pgdst.snapshot.base"  # the id of the image
BASE_NAME = "pgdst.snapshot.base-name"
PASSWORD = "pgdst.snapshot.password"  # noqa: S105  # the name of a label
MANIFEST = "pgdst.snapshot.manifest"
VOLUMES = "pgdst.snapshot.volumes"  # the image's, in JSON
USER = "pgdst.snapshot.user"  # uid:gid of the data directory
CHECKOUT = "pgdst.snapshot.checkout"
REPOSITORY = "pgdst/snapshot"
NO_NAME = "<none>:<none>"
RUN_LABELS = ("pgdst.run", "pgdst.kind", "pgdst.checkout", "pgdst.owner")
ARCHIVE = "/pgdst/data.tar"  # one file: copying some 1,500 files out of an image takes six times as long

# Stops Postgres cleanly, packs its data directory and prints its owner; run inside the container by `exec`.
PACK = f"""
set -e
read -r server <"$PGDATA/postmaster.pid"
kill -INT "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.02; done
mkdir -p /pgdst
tar -cf {ARCHIVE} -C "$PGDATA" .
set -- $(ls -ldn "$PGDATA")
echo "$3:$4"
"""
# A snapshot's container starts this instead of the image's entrypoint, which would do no more for an existing data
# directory. It runs as the directory's owner, so no file has to change its owner. Postgres refuses a directory that
# others may read, and neither the tmpfs nor the archive sets the mode reliably: where the mount point exists, runc
# before 1.1.8 takes its mode instead, 1777 in the official image, and BusyBox's tar heeds -p for root only.
# Source: runc issue 3911.
UNPACK = (
    'chmod 0700 "$PGDATA" && '
    f'{{ tar -xpf {ARCHIVE} -C "$PGDATA" 2>/dev/null || '
    "{ echo 'The snapshot does not fit into the room for its data: raise DISK_MIB.'; exit 1; }; }"
)


@dataclass(frozen=True)
class Content:
    """The content of a snapshot: its role's password, the manifest of its migrations, and the image's volumes."""

    password: str
    manifest: Manifest
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class Found(Content):
    """A snapshot that may be used: `reference` is its image's id."""

    reference: str
    name: str
    base_name: str
    user: str


def find(client: docker.DockerClient, recipe: Recipe, wanted: str, offline: str) -> Found | None:
    """Return the newest snapshot that was made from this image, recipe and backend.

    If the wanted image is not on the daemon, a snapshot that was made from it is used all the same, or one made from
    the offline image, unless that is forbidden. The registry is asked when the next snapshot is made.
    """
    candidates = _list(client, f"{LABEL}={recipe.key_on(wanted)}")
    base = _id(client, wanted) if candidates else None
    for image in candidates:
        labels = image["Labels"]
        stands_in = labels[BASE_NAME] != wanted
        if labels[BASE] != base if base else stands_in and offline == "never":
            continue
        manifest = from_json(labels[MANIFEST])
        if manifest is not None and manifest.is_current():
            volumes = tuple(json.loads(labels[VOLUMES]))
            name, base_name, user = _name(image), labels[BASE_NAME], labels[USER]
            return Found(labels[PASSWORD], manifest, volumes, image["Id"], name, base_name, user)
    return None


def commit(
    client: docker.DockerClient,
    container: str,
    key: str,
    base: Image,
    checkout: str,
    content: Content,
    deadline: Deadline,
    *,
    podman: bool,
) -> Found:
    """Pack the data directory of a running container, make an image of it and return that; remove old ones.

    The image would inherit the container's labels, by which it is a run's, and its password: both are overwritten.
    """
    code, talk = execute(client.api, container, ["sh", "-c", PACK], deadline)
    if code != 0:
        raise ServerNotReadyError(
            f"No snapshot could be made of the data directory: exit code {code}: {talk}. "
            "The image needs sh, ls, mkdir, sleep and tar for that; start without one: SNAPSHOT=off"
        )
    labels = {
        LABEL: key,
        offline_image.LABEL: "snapshot",  # not the offline image's own, which would pass it off for that
        BASE: base.reference,
        BASE_NAME: base.name,
        PASSWORD: content.password,
        MANIFEST: content.manifest.to_json(),
        VOLUMES: json.dumps(content.volumes),
        USER: talk,
        CHECKOUT: checkout,
        **dict.fromkeys(RUN_LABELS, ""),
    }
    tag = digest(f"{key} {base.reference} {labels[MANIFEST]}".encode())[:12]
    environment = ["POSTGRES_PASSWORD="]
    changes = instructions(labels, environment) if podman else None
    conf = {"Labels": labels, "Env": environment}
    made = client.api.commit(container, REPOSITORY, tag, pause=False, conf=conf, changes=changes)
    prune(client, checkout)
    name, user = f"{REPOSITORY}:{tag}", labels[USER]
    return Found(content.password, content.manifest, content.volumes, made["Id"], name, base.name, user)


def prune(client: docker.DockerClient, checkout: str) -> None:
    """Remove all snapshots but the last few; one in use, or from which another image was made, stays."""
    images = {image["Id"]: image for image in _list(client, LABEL)}
    found = [(reference, image["Labels"].get(CHECKOUT, "")) for reference, image in images.items()]
    for reference in superseded(found, checkout):
        for name in _names(images[reference]) or [reference]:
            with contextlib.suppress(APIError):  # in use, or somebody else was faster
                client.api.remove_image(name, noprune=True)


def listed(client: docker.DockerClient) -> list[str]:
    """Return a line for each snapshot, newest first: its name, what it takes on disk beside its base, its base."""
    return [
        f"{_name(image)} ({image['Size'] / 1e6:.0f} MB with {image['Labels'][BASE_NAME]})"
        for image in _list(client, LABEL)
    ]


def _list(client: docker.DockerClient, label: str) -> list[dict[str, Any]]:
    """Return the daemon's images with the label, the newest first."""
    found: list[dict[str, Any]] = client.api.images(filters={"label": label})
    return sorted(found, key=lambda image: int(image["Created"]), reverse=True)


def _id(client: docker.DockerClient, name: str) -> str | None:
    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None


def _names(image: dict[str, Any]) -> list[str]:
    return [name for name in image["RepoTags"] or [] if name != NO_NAME]


def _name(image: dict[str, Any]) -> str:
    return (_names(image) or [str(image["Id"])[7:19]])[0]
