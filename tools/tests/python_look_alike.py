"""An image that is like the official `python:…-slim` where a build meets it, for machines that reach no registry.

The same: Python in /usr/local with pip and venv, a shell, coreutils and tar, root as its user. Not the same: Python,
its libraries and the programs are those of this machine, so wheels for this Python fit, and there is no apt.
"""

import hashlib
import json
import re
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import docker
from docker.models.images import Image
from pgdst.server.docker import offline_contents
from pgdst.server.docker.image import daemon_platform
from pgdst.server.docker.offline_contents import Entries, Entry
from pgdst.server.docker.offline_image import archive

PREFIX = Path("/usr/local")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNNEEDED = {"__pycache__", "idlelib", "site-packages", "test", "tkinter", "turtledemo"}
# What wheels may expect of any Linux with glibc: PEP 600, and the list of auditwheel.
LIBRARY = re.compile(r"lib(crypt|dl|gcc_s|m|pthread|resolv|rt|stdc\+\+|util|z)\.so\.\d")


@contextmanager
def built(client: docker.DockerClient, name: str, **variables: str) -> Iterator[Image]:
    """Yield the image, with these variables, under a name that no other has; it is removed at the end.

    Raises: ImageError.
    """
    layer = archive(contents())
    config = configuration(daemon_platform(client), hashlib.sha256(layer).hexdigest(), variables)
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    files["layer.tar"] = layer
    [image] = client.images.load(archive({Path("/", file): Entry(0o644, content=files[file]) for file in files}))
    try:
        yield image
    finally:
        client.images.remove(name, force=True)


def contents() -> Entries:
    """Return what is in the image: this machine's Python, shell and commands, and the libraries of all of them."""
    files = _fixed() | offline_contents._commands() | _python()
    programs = [entry.source for entry in files.values() if entry.source and entry.mode == 0o755]
    libraries = offline_contents._libraries(programs)
    [libc] = [path for path in libraries if path.name == "libc.so.6"]
    files |= libraries | {
        path: Entry(0o755, path.resolve()) for path in libc.parent.iterdir() if LIBRARY.fullmatch(path.name)
    }
    return {parent: Entry(0o755) for path in files for parent in path.parents if parent != Path("/")} | files


def _fixed() -> Entries:
    return {
        Path("/bin"): Entry(0o777, link="usr/bin"),
        Path("/etc/group"): Entry(0o644, content=b"root:x:0:\n"),
        Path("/etc/nsswitch.conf"): Entry(0o644, content=b"passwd: files\ngroup: files\nhosts: files dns\n"),
        Path("/etc/passwd"): Entry(0o644, content=b"root:x:0:0:root:/root:/bin/sh\n"),
        Path("/root"): Entry(0o700),
        Path("/tmp"): Entry(0o1777),  # noqa: S108  the image's own
    }


def _python() -> Entries:
    """Return the interpreter under all of its names, and its standard library, where the official image has them."""
    name = f"python{sysconfig.get_python_version()}"
    entries = {PREFIX / "bin" / name: Entry(0o755, Path(sysconfig.get_config_var("BINDIR"), name))}
    entries |= {PREFIX / "bin" / other: Entry(0o777, link=name) for other in ("python", "python3")}
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*"):
        inside = path.relative_to(library)
        if path.is_file() and not UNNEEDED.intersection(inside.parts) and not inside.parts[0].startswith("config-"):
            entries[PREFIX / "lib" / name / inside] = Entry(0o755 if path.suffix == ".so" else 0o644, path)
    return entries | _pip(PREFIX / "lib" / name / "site-packages", library)


def _pip(packages: Path, library: Path) -> Entries:
    """Return the pip that Python carries for new environments, installed."""
    [wheel] = (library / "ensurepip" / "_bundled").glob("pip-*.whl")
    with ZipFile(wheel) as opened:
        return {packages / name: Entry(0o644, content=opened.read(name)) for name in opened.namelist()}


def configuration(platform: str, layer_sha256: str, variables: Mapping[str, str]) -> dict[str, object]:
    """Return the image's configuration."""
    system, architecture = platform.split("/")
    given = [f"{name}={value}" for name, value in variables.items()]
    return {
        "os": system,
        "architecture": architecture,
        "config": {"Cmd": ["python3"], "Env": [f"PATH={PATH}", "LANG=C.UTF-8", *given]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sha256}"]},
    }
