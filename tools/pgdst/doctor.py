"""Checks whether this machine has all that a run needs."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgdst.errors import ConfigurationError, DockerNotRunningError, EmbeddedError, ImageError
from pgdst.project import call_of
from pgdst.server.docker import podman
from pgdst.server.embedded import snapshot_folder
from pgdst.server.lifetime.sweeping import leftover_directories

if TYPE_CHECKING:
    from pgdst.server.docker.engine import DockerEngine

NEEDED_MIB = 1024  # a pulled image (about 280 MB) and the data of a run or two


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found, and what to do if it is a problem."""

    subject: str
    found: str
    to_do: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether there is something to do."""
        return bool(self.to_do)

    def line(self) -> str:
        """The finding as one line."""
        state = "problem" if self.is_problem else "ok"
        return f"{state:<8} {self.subject}: {self.found}" + (f" -> {self.to_do}" if self.to_do else "")


def examine(engine: str, image: str, offline_image: str) -> Iterator[Finding]:
    """Yield the findings one by one, as each may take a while. Docker is needed for the docker engine only."""
    yield _python()
    yield _disk("temporary files", tempfile.gettempdir())
    yield _embedded(needed=engine == "embedded")
    if engine == "docker":
        yield from _docker(image, offline_image)
    yield _cached("folders", snapshot_folder.listed())
    yield _leftovers("run directories", [str(path) for path in leftover_directories()])


def _python() -> Finding:
    """Return the version of this Python; launch.py has already refused one that is too old."""
    return Finding("Python", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def _disk(what: str, path: str) -> Finding:
    free = shutil.disk_usage(path).free // 2**20
    return Finding("disk", f"{free} MiB free for {what} at {path}", "make room" if free < NEEDED_MIB else "")


def _embedded(*, needed: bool) -> Finding:
    from pgdst.server.embedded import engine as embedded

    try:
        return Finding("embedded engine", embedded.version())
    except (EmbeddedError, OSError, subprocess.CalledProcessError) as error:
        return Finding("embedded engine", f"not usable: {error}", "use ENGINE=docker" if needed else "")


def _docker(image: str, offline_image: str) -> Iterator[Finding]:
    from pgdst.server.docker.engine import DockerEngine

    try:
        engine = DockerEngine(image, offline_image)
    except (DockerNotRunningError, ConfigurationError) as error:
        first, _, to_do = str(error).partition("\n")
        yield Finding("Docker", first, to_do.removeprefix("What to do: ") or "correct it")
        return
    info = engine.info()
    yield Finding("Docker endpoint", f"{engine.endpoint.url} ({engine.endpoint.why})")
    yield _daemon(info)
    yield _where_published(engine)
    yield from _image(engine)
    if engine.endpoint.is_local and Path(info["DockerRootDir"]).is_dir():
        yield _disk("Docker", info["DockerRootDir"])
    yield _cached("images", engine.snapshots())
    yield _leftovers("containers", engine.leftovers())
    if strangers := engine.strangers():
        yield Finding("other containers", f"{', '.join(strangers)}: not the kit's, though labelled alike; left alone")


def _daemon(info: dict[str, str]) -> Finding:
    name = "Podman " if podman.answers(info) else ""
    found = f"{name}{info['ServerVersion']}, {info['OSType']}/{info['Architecture']}, on {info['OperatingSystem']}"
    return Finding("Docker daemon", found, "switch it to Linux containers" if info["OSType"] != "linux" else "")


def _where_published(engine: "DockerEngine") -> Finding:
    return Finding("ports", f"published on {engine.endpoint.bind_address}, reached at {engine.endpoint.database_host}")


def _image(engine: "DockerEngine") -> Iterator[Finding]:
    from pgdst.server import extensions
    from pgdst.server.docker.image import OFFLINE_IMAGE
    from pgdst.server.docker.image import examine as examine_image

    try:
        found = examine_image(engine.client, engine.wanted, engine.offline)
    except (ImageError, ConfigurationError) as error:
        yield Finding("image", str(error), "set IMAGE, or use ENGINE=embedded")
        return
    yield Finding("image", found)
    if found.startswith(OFFLINE_IMAGE):
        yield Finding("extensions", extensions.differences())


def _cached(what: str, found: list[str]) -> Finding:
    return Finding(f"snapshot {what}", ", ".join(found) or "none")


def _leftovers(what: str, found: list[str]) -> Finding:
    return Finding(f"leftover {what}", ", ".join(found) or "none", call_of("sweep") if found else "")
