"""An image that is like `postgres:16-alpine` where the kit meets it, for machines that reach no registry.

The same: uid and gid 70, the modes of the directories, the VOLUME, an entrypoint that takes the official one's steps
and becomes that user with gosu, and BusyBox for every other command, the shell included. Not the same: Postgres is the
wheel's, with glibc and few extensions, and the entrypoint is ash's, as there is no bash.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.models.images import Image
from pgdst.server.docker import offline_contents
from pgdst.server.docker.image import daemon_platform
from pgdst.server.docker.offline_contents import Entries, Entry
from pgdst.server.docker.offline_image import archive

PGDATA = "/var/lib/postgresql/data"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APPLETS = {"cat", "chmod", "chown", "find", "id", "ls", "mkdir", "sed", "sh", "sleep", "tar"}  # at least
PACKAGES = {"busybox": "busybox-static", "gosu": "gosu"}  # Debian's and Ubuntu's, by program
FETCH_SECONDS = 120
_ENTRYPOINT = Path(__file__).with_suffix(".sh")
_POSTGRES = 70


class NoProgramError(Exception):
    """The machine has not got a program that the image needs, and cannot fetch it."""


@contextmanager
def built(client: docker.DockerClient, name: str, scratch: Path) -> Iterator[Image]:
    """Yield the image, under a name that no other has; it is removed at the end. `scratch` is an empty folder.

    Raises: NoProgramError, and ImageError for what the offline image needs as well.
    """
    layer = archive(contents(scratch))
    config = configuration(daemon_platform(client), hashlib.sha256(layer).hexdigest(), name)
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    files["layer.tar"] = layer
    [image] = client.images.load(archive({Path("/", file): Entry(0o644, content=files[file]) for file in files}))
    yield image
    client.images.remove(str(image.id), force=True)


def contents(scratch: Path) -> Entries:
    """Return what is in the image: Postgres and what it is linked with, BusyBox under all its names, and gosu."""
    postgres = offline_contents._postgres()
    programs = {path: entry.source for path, entry in postgres.items() if entry.source and entry.mode == 0o755}
    busybox, gosu = (static_program(name, scratch) for name in ("busybox", "gosu"))
    files = _fixed() | postgres | offline_contents._libraries(list(programs.values()))
    files[Path("/bin/busybox")] = Entry(0o755, busybox)
    files |= {Path("/bin", applet): Entry(0o777, link="busybox") for applet in applets(busybox) - {"busybox"}}
    files[Path("/usr/local/bin/gosu")] = Entry(0o755, gosu)
    in_bin = [path for path in programs if path.parent == offline_contents.PROGRAMS]
    files |= {Path("/usr/local/bin", path.name): Entry(0o777, link=str(path)) for path in in_bin}
    return {parent: Entry(0o755) for path in files for parent in path.parents if parent != Path("/")} | files


def _fixed() -> Entries:
    user = f"postgres:x:{_POSTGRES}:{_POSTGRES}:Linux User,,,:/var/lib/postgresql:/bin/sh"
    return {
        Path("/docker-entrypoint-initdb.d"): Entry(0o755),
        Path("/etc/group"): Entry(0o644, content=f"root:x:0:root\npostgres:x:{_POSTGRES}:\n".encode()),
        Path("/etc/passwd"): Entry(0o644, content=f"root:x:0:0:root:/root:/bin/sh\n{user}\n".encode()),
        Path("/root"): Entry(0o700),
        Path("/tmp"): Entry(0o1777),  # noqa: S108  the image's own
        Path("/usr/local/bin/docker-entrypoint.sh"): Entry(0o755, content=_ENTRYPOINT.read_bytes()),
        Path("/var/lib/postgresql"): Entry(0o1777, owner=_POSTGRES),
        Path(PGDATA): Entry(0o1777, owner=_POSTGRES),
        Path("/var/run/postgresql"): Entry(0o3777, owner=_POSTGRES),
    }


def configuration(platform: str, layer_sha256: str, name: str) -> dict[str, object]:
    """Return the image's configuration; its own name in a label makes its id its own."""
    system, architecture = platform.split("/")
    return {
        "os": system,
        "architecture": architecture,
        "config": {
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "Env": [f"PATH={PATH}", "LANG=en_US.utf8", "PG_MAJOR=16", f"PGDATA={PGDATA}"],
            "ExposedPorts": {"5432/tcp": {}},
            "Labels": {"pgdst.test": name},
            "StopSignal": "SIGINT",
            "Volumes": {PGDATA: {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sha256}"]},
    }


def applets(busybox: Path) -> set[str]:
    """Return the names of what this BusyBox can do."""
    return set(subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split())


def static_program(name: str, scratch: Path) -> Path:
    """Return a program that runs in an image without libraries: this machine's, else its distribution's package's.

    Raises: NoProgramError.
    """
    installed = shutil.which(name, path=PATH)
    if installed and _is_usable(Path(installed)):
        return Path(installed)
    package = PACKAGES[name]
    folder = scratch / package
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    said = ""
    # What this machine knows of its packages may be missing or old: then it is fetched too, to a place of ours.
    for own in ([], [f"--option=Dir::State::Lists={folder}/lists", f"--option=Dir::Cache={folder}/cache"]):
        try:
            if own:
                _run(folder, "apt-get", *own, "update")
            _run(folder, "apt-get", *own, "download", package)
            _run(folder, "dpkg-deb", "--extract", *map(str, folder.glob("*.deb")), str(folder / "files"))
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip()
            continue
        for found in (folder / "files").glob(f"**/*bin/{name}"):
            if _is_usable(found):
                return found
        said = f"its {name} is not a static program with the applets that are needed"
    raise NoProgramError(
        f"The tests on the official image's contract need a statically linked {name}. It is not on this machine, and "
        f"the package {package} could not be fetched: {said}\nOn Debian and Ubuntu: apt-get install {package}"
    )


def _is_usable(program: Path) -> bool:
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    static = linked.returncode != 0 or "statically linked" in linked.stdout
    return static and (program.name != "busybox" or applets(program) >= APPLETS)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_SECONDS)
