"""The offline image, for use without a registry: Postgres 16 from the installed wheel, the rest from this machine.

It keeps that part of the official image's contract that the kit uses (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB,
POSTGRES_INITDB_ARGS, PGDATA, docker-entrypoint.sh, uid 70), so nothing else needs to know which of the two runs. It
lacks every extension but plpgsql and vector, SSL, ICU, other locales than C, and /docker-entrypoint-initdb.d.
"""

import hashlib
import io
import json
import platform
import sys
import tarfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException
from docker.models.images import Image

from pgdst.errors import ImageError
from pgdst.server.docker.image_list import images
from pgdst.server.docker.offline_contents import PROGRAMS, Entries, Entry, contents, recipe

NAME = "pgdst/postgres:16-offline"
LABEL = "pgdst.image"

_MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_EPOCH = "1970-01-01T00:00:00Z"
_SUPERSEDED_AFTER = timedelta(days=1)


def present(client: docker.DockerClient) -> Image | None:
    """Return the image that this recipe made before, if the daemon has it."""
    try:
        found = images(client, label=f"{LABEL}={key()}")
    except PackageNotFoundError:
        return None
    # What somebody has built from it has inherited its label, and has more layers.
    return next((image for image in found if _is_the_kits(image)), None)


def _is_the_kits(image: Image) -> bool:
    """Return whether an image with our label is ours, and not what somebody has built from it."""
    attributes = image.attrs
    is_as_made = attributes["Created"].startswith("1970-01-01") and not attributes.get("Parent")
    return is_as_made and len(attributes["RootFS"]["Layers"]) == 1


def ensure(client: docker.DockerClient, daemon_platform: str) -> tuple[Image, str]:
    """Return the offline image, and "assembled" or "assembled earlier".

    Any number of runs may ask at once, with no lock: the same files give the same image, down to its id.
    Raises: ImageError when it cannot be assembled from this machine for a daemon of that platform, such as linux/amd64.
    """
    if found := present(client):
        if not found.tags:  # a sweep took its name, and left it to a snapshot that was in use
            _name(found)
        return found, "assembled earlier"
    _refuse_other_machines(daemon_platform)
    made = _load(client, image_archive(contents(), daemon_platform))
    forget_superseded(client, _SUPERSEDED_AFTER)
    return made, "assembled"


def key() -> str:
    """Return the label's value, which another wheel or another recipe changes."""
    own = hashlib.sha256(Path(__file__).read_bytes() + recipe().encode())
    return f"offline-{own.hexdigest()[:16]}"


def forget_superseded(client: docker.DockerClient, age: timedelta) -> None:
    """Remove the offline images that lost their name to a newer one, got it that long ago and are in no container.

    The age keeps two checkouts with different recipes from taking each other's image away before it is used.
    """
    for image in images(client, label=LABEL, dangling=True):
        named = datetime.fromisoformat(image.attrs["Metadata"].get("LastTagTime") or _EPOCH)
        if image.labels[LABEL].startswith("offline-") and datetime.now(UTC) - named >= age:
            with suppress(APIError):  # in a container, or gone already
                client.api.remove_image(str(image.id), noprune=True)


def image_archive(entries: Entries, daemon_platform: str) -> bytes:
    """Return what `docker load` takes: one layer, the image's configuration, and the manifest that names both.

    Source: the OCI image specification's config.md, and moby's image/spec for the manifest.
    """
    layer = archive(entries)
    configuration = _configuration(daemon_platform, hashlib.sha256(layer).hexdigest())
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    return archive(
        {
            Path("/config.json"): Entry(0o644, content=json.dumps(configuration).encode()),
            Path("/layer.tar"): Entry(0o644, content=layer),
            Path("/manifest.json"): Entry(0o644, content=json.dumps(manifest).encode()),
        }
    )


def archive(entries: Entries) -> bytes:
    """Return a tar archive, in memory as it is some 25 MB; the same entries give the same bytes."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in sorted(entries.items()):
            _add(tar, str(path.relative_to("/")), entry)
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.uid, member.gid = entry.mode, entry.owner, entry.owner
    content = entry.source.read_bytes() if entry.source else entry.content or b""
    member.size = len(content)
    if entry.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, entry.link
    elif entry.source is None and entry.content is None:
        member.type = tarfile.DIRTYPE
    tar.addfile(member, io.BytesIO(content))


def _configuration(daemon_platform: str, layer_sha256: str) -> dict[str, object]:
    system, architecture = daemon_platform.split("/")
    return {
        "os": system,
        "architecture": architecture,
        "created": _EPOCH,  # always the same, or the id would not be
        "config": {
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "Env": [
                f"PATH=/usr/local/bin:{PROGRAMS}:/usr/bin",
                "LANG=C.UTF-8",
                "PG_MAJOR=16",
                "PGDATA=/var/lib/postgresql/data",
                "TZ=UTC",  # told no zone, initdb compares the clock with every zone there is, for two seconds
            ],
            "ExposedPorts": {"5432/tcp": {}},
            "Labels": {LABEL: key()},
            "StopSignal": "SIGINT",  # Postgres's fast shutdown
            "Volumes": {"/var/lib/postgresql/data": {}},
        },
        "history": [{"created": _EPOCH, "created_by": "pgdst"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sha256}"]},
    }


def _load(client: docker.DockerClient, data: bytes) -> Image:
    """Hand the archive to the daemon, within the client's timeout. Raises: ImageError."""
    try:
        made = client.images.load(data)[0]
        _name(made)  # it has this name already, but only now does the daemon note since when
    except (DockerException, requests.RequestException) as error:
        raise ImageError(f"the Docker daemon did not take it ({error})") from error
    return made


def _name(image: Image) -> None:
    image.tag(*NAME.split(":"))


def _refuse_other_machines(daemon_platform: str) -> None:
    """Raise ImageError where this machine's programs could not run on the daemon's."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise ImageError("that takes programs from a Linux machine with glibc, which this one is not")
    if (ours := _MACHINES.get(platform.machine(), platform.machine())) != daemon_platform:
        raise ImageError(f"this machine's programs are for {ours}, and the daemon runs {daemon_platform}")
