"""Which image the Postgres container runs from: present, else pulled, else assembled on this machine."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import click
import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image as DockerImage

from pgdst.errors import ConfigurationError, ImageError
from pgdst.server.docker import offline_image
from pgdst.server.docker.daemon_requests import Event, SilenceError, inspect_distribution, pull
from pgdst.server.docker.image_list import images

DEFAULT_IMAGE = "postgres:16-alpine"
OFFLINE_IMAGE = offline_image.NAME

# How long the daemon may say nothing while it pulls. Its own limits come first (15 s for a registry's greeting), but it
# has none for a registry that greets and then goes quiet.
PULL_SILENCE_SECONDS = 60.0
# How long a registry may think about one question: for `make doctor`, and when an offline image stands ready.
ANSWER_SECONDS = 8.0

# The daemon's words, from Go's net package, when no registry was reached; any other refusal came from a registry.
_NO_REGISTRY = re.compile(
    r"dial tcp|no such host|server misbehaving|connection refused|connection reset|network is unreachable"
    r"|no route to host|i/o timeout|TLS handshake timeout|Client\.Timeout exceeded|deadline exceeded|request canceled"
    r"|\bEOF\b|unexpected HTTP status: 5\d\d"
)
_OURS = re.compile(r"([^/]+/)?pgdst/")  # Podman puts a host before the name
_NOT_ASKED = re.compile(r"^Path /\S+ is not supported$")  # Podman's words for what of Docker's API it lacks
_OTHER_WAYS = (
    "set IMAGE to a name in a mirror that you reach, `docker load` the image, or run without Docker: ENGINE=embedded"
)


@dataclass(frozen=True)
class Image:
    """An image that is on the daemon: `reference` is its id, which no tag moved meanwhile can change."""

    reference: str
    name: str
    why: str


class NoRegistryError(ImageError):
    """No registry answered: the network's failure, not a registry's refusal."""


class NotAskedError(ImageError):
    """The daemon pulls from registries, but cannot ask them what they have: Podman's."""


def ensure(
    client: docker.DockerClient,
    wanted: str = DEFAULT_IMAGE,
    offline: str = "auto",
    progress: bool | None = None,
    *,
    silence_seconds: float = PULL_SILENCE_SECONDS,
) -> Image:
    """Return the wanted image: present, else pulled, else (the default one only, offline="auto") assembled here.

    A pull shows its bytes on stderr when `progress`, by default when stderr is a terminal. It is given up when the
    daemon says nothing for `silence_seconds`. Raises: ImageError, ConfigurationError for another value of `offline`.
    """
    if offline not in ("auto", "never"):
        raise ConfigurationError(f"OFFLINE_IMAGE={offline} is neither auto nor never: set one of the two")
    found = _present(client, wanted)
    if found is not None:
        return _checked(client, found, wanted, f"{wanted}: present")
    may_assemble = offline == "auto" and wanted == DEFAULT_IMAGE
    try:
        if may_assemble and offline_image.present(client):
            # Where every run finds no registry, the runs after the first need not each wait for a patient pull to fail.
            with suppress(NotAskedError):
                _in_registry(client, wanted, min(ANSWER_SECONDS, silence_seconds))
        _pull(client, wanted, silence_seconds, sys.stderr.isatty() if progress is None else progress)
    except NoRegistryError as silence:
        if may_assemble:
            return _stand_in(client, wanted, silence)
        raise ImageError(_failed_pull(wanted, f"no registry answered ({silence})", offline)) from silence
    except ImageError as refusal:
        raise ImageError(_failed_pull(wanted, str(refusal), offline)) from refusal
    return _checked(client, client.images.get(wanted), wanted, f"{wanted}: pulled")


def examine(client: docker.DockerClient, wanted: str, offline: str) -> str:
    """Return one line that says where the image would come from, without fetching it, for `make doctor`.

    Raises: ImageError where it could not be had.
    """
    found = _present(client, wanted)
    if found is not None:
        return _checked(client, found, wanted, f"{wanted}: present, for {daemon_platform(client)}").why
    in_registry, answer = pullable(client, wanted)
    if in_registry:
        return answer
    if wanted == DEFAULT_IMAGE and offline == "auto" and "no registry answered" in answer:
        state = "present" if offline_image.present(client) else "to be assembled at the first run"
        return f"{OFFLINE_IMAGE}: {state}, in place of {answer}"
    raise ImageError(answer)


def pullable(client: docker.DockerClient, wanted: str) -> tuple[bool, str]:
    """Return whether the registry has the image for the daemon's platform, and one line that says why or why not.

    For a daemon that cannot ask registries (Podman) the answer is yes. Returns within a few times ANSWER_SECONDS.
    """
    try:
        platforms = _in_registry(client, wanted, ANSWER_SECONDS)
    except NotAskedError:
        return True, f"{wanted}: to be pulled at the first run, as Podman asks no registry before that"
    except NoRegistryError as silence:
        return False, f"{wanted}: no registry answered ({silence})"
    except ImageError as refusal:
        return False, f"{wanted}: {refusal}"
    ours = daemon_platform(client)
    if ours not in platforms:
        return False, f"{wanted} is in the registry for {', '.join(platforms)}; this daemon runs {ours}"
    return True, f"{wanted} is in the registry for {', '.join(platforms)}"


def remove_unused(client: docker.DockerClient) -> list[str]:
    """Remove the images this kit made which no container uses, and return their names (an id where there is none).

    An image that somebody built from one of them has inherited its label, so one with a name outside `pgdst/` stays.
    Podman puts a registry before the name.
    """
    in_use = {container["ImageID"] for container in client.api.containers(all=True)}
    removed = []
    # Newest first, as an image cannot go before the ones that were made from it.
    made_here = images(client, label=offline_image.LABEL)
    for image in sorted(made_here, key=lambda image: str(image.attrs["Created"]), reverse=True):
        if image.id not in in_use and all(_OURS.match(tag) for tag in image.tags) and _removed(client, image):
            removed.append(", ".join(image.tags) or image.short_id)
    return removed


def daemon_platform(client: docker.DockerClient) -> str:
    """Return the daemon's system and architecture in Docker's words, such as linux/amd64."""
    version = client.version()
    return f"{version['Os']}/{version['Arch']}"


def _present(client: docker.DockerClient, wanted: str) -> DockerImage | None:
    try:
        return client.images.get(wanted)
    except ImageNotFound:
        return None
    except DockerException as error:
        raise ImageError(f"IMAGE={wanted} cannot be looked up ({error}): give name:tag or name@digest") from error


def _checked(client: docker.DockerClient, found: DockerImage, name: str, why: str) -> Image:
    """Return the image found. Raises: ImageError when the daemon's machine is of another architecture."""
    its = f"{found.attrs['Os']}/{found.attrs['Architecture']}"
    ours = daemon_platform(client)
    if its != ours:
        raise ImageError(
            f"{name} is here for {its}, and this daemon runs {ours}. Fetch the right one with "
            f"`docker pull --platform {ours} {name}`, or {_OTHER_WAYS}"
        )
    return Image(reference=str(found.id), name=name, why=why)


def _stand_in(client: docker.DockerClient, wanted: str, silence: NoRegistryError) -> Image:
    """Return the offline image. Raises: ImageError when it cannot be assembled from this machine."""
    reason = f"no registry answered ({silence})"
    try:
        found, how = offline_image.ensure(client, daemon_platform(client))
    except ImageError as error:
        raise ImageError(
            f"{wanted} is not here, {reason}, and {OFFLINE_IMAGE} cannot be assembled: {error}. "
            f"Bring back the network, {_OTHER_WAYS}"
        ) from error
    return _checked(client, found, OFFLINE_IMAGE, f"{OFFLINE_IMAGE}: {how}, because {reason}")


def _failed_pull(wanted: str, reason: str, offline: str) -> str:
    forbidden = wanted == DEFAULT_IMAGE and offline == "never"
    allow = "allow the offline image with OFFLINE_IMAGE=auto, " if forbidden else ""
    return (
        f"{wanted} is not here and could not be pulled: {reason}. "
        f"Check the name and the network, `docker login` where the registry asks for it, {allow}{_OTHER_WAYS}"
    )


def _in_registry(client: docker.DockerClient, name: str, answer_seconds: float) -> list[str]:
    """Return the platforms the registry has the image for. Raises: NoRegistryError, ImageError."""
    try:
        answer = inspect_distribution(client, name, answer_seconds)
    except ImageError as error:
        raise _told_apart(error) from error
    # An attestation stored beside the images is listed as unknown/unknown.
    return sorted({f"{each['os']}/{each['architecture']}" for each in answer["Platforms"]} - {"unknown/unknown"})


def _pull(client: docker.DockerClient, name: str, silence_seconds: float, progress: bool) -> None:
    """Pull the image, showing the bytes of its layers. Raises: NoRegistryError, ImageError."""
    try:
        with click.progressbar(length=0, label=f"Pulling {name}", file=sys.stderr, hidden=not progress) as bar:
            for done, total in downloaded(pull(client, name, silence_seconds)):
                bar.length = total
                bar.label = f"Pulling {name}, {done / 1e6:.1f} of {total / 1e6:.1f} MB"
                bar.update(done - bar.pos)
    except ImageError as error:
        raise _told_apart(error) from error


def downloaded(events: Iterable[Event]) -> Iterator[tuple[int, int]]:
    """Yield the bytes downloaded and the bytes known of, after each event of a pull that changes them.

    The sum is over layers; a layer's size is known only once its download begins, so both numbers grow.
    """
    layers: dict[str, tuple[int, int]] = {}
    for event in events:
        layer, known = str(event.get("id")), event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and known.get("total", 0) > 0:
            layers[layer] = (known["current"], known["total"])
        elif event.get("status") == "Download complete" and layer in layers:
            layers[layer] = (layers[layer][1], layers[layer][1])
        else:
            continue
        yield sum(done for done, _ in layers.values()), sum(total for _, total in layers.values())


def _told_apart(error: ImageError) -> ImageError:
    """Return the error as a NoRegistryError when it is the network's, a NotAskedError when it is Podman's."""
    if _NOT_ASKED.search(str(error)):
        return NotAskedError(str(error))
    if isinstance(error, SilenceError) or _NO_REGISTRY.search(str(error)):
        return NoRegistryError(str(error))
    return error


def _removed(client: docker.DockerClient, image: DockerImage) -> bool:
    """Remove the image by each of its names and say whether it is gone; an unnamed parent of it is left alone."""
    try:
        for name in image.tags or [str(image.id)]:
            client.api.remove_image(name, noprune=True)
    except APIError:
        return False  # in use by now, or other images were made from it
    return True
