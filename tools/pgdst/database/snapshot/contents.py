"""Migrating a project's database in a process of its own, and the key of everything that the result depends on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from pgdst.errors import MigrationError
from pgdst.installation import PACKAGE, command
from pgdst.manifest import Manifest, digest, from_json
from pgdst.project import Project, has_table
from pgdst.server import settings
from pgdst.server.address import Server
from pgdst.server.spec import Recipe

PACKAGE_MARKS = (".dist-info", ".egg-info", ".egg-link", ".pth")
SOURCES = (".py", ".sh", ".sql")
STOP_SECONDS = 5


def recipe(project: Project) -> Recipe:
    """Return how this project's database is migrated."""
    return Recipe(key(project, settings.merged(project.settings)), partial(migrate, project), partial(fill, project))


def key(project: Project, values: Mapping[str, str]) -> str:
    """Return the hash of what a migrated database depends on, beside the files and variables in its manifest."""
    depends_on = {
        "settings": dict(values),
        "initdb": settings.INITDB_ARGUMENTS,
        "python": [sys.version, sys.prefix],
        "python's variables": [os.environ.get(name) for name in ("PYTHONPATH", "PYTHONOPTIMIZE")],
        "packages": _packages(),
        "kit": _kit(),
        "project": [str(project.root), str(project.backend), str(project.alembic_ini)],
        "sql_determinism": project.sql_determinism,
        "variables": dict(project.variables),
        "drift": project.drift,
        "target": project.target,
    }
    return digest(json.dumps(depends_on, sort_keys=True).encode())


def fill(project: Project, server: Server) -> Manifest:
    """Migrate the server's database in a process of its own, make the template, and return what was read.

    Raises: MigrationError with that process's error.
    """
    from pgdst.database.template import Template

    manifest = migrate(project, server)
    with server.with_database("postgres").connect() as connection:
        Template(server, connection).make()
    return manifest


def migrate(project: Project, server: Server) -> Manifest:
    """Migrate the server's database in a process of its own, and return what was read.

    In a process of its own nothing was imported before. So the manifest has every file and no other, and the backend's
    settings, which are read when they are imported, lead to this server.

    Raises: MigrationError with that process's error.
    """
    with TemporaryFile("w+", encoding="utf-8") as written:  # without a name: a killed process leaves none
        _migrate(project, server, written.fileno())
        written.seek(0)
        manifest = from_json(written.read())
    if manifest is None:
        raise MigrationError(
            "The migrations' process succeeded before it wrote its manifest: a migration or env.py has ended it. "
            "Remove os._exit()."
        )
    return manifest


def _migrate(project: Project, server: Server, manifest: int) -> None:
    environment = {**os.environ, **server.environment(), **project.environment(), **project.settings_for(server)}
    called = [*command("migrate"), "--manifest", f"/dev/fd/{manifest}"]
    # Where pytest was called from a folder above several projects, the child has to find the same one.
    here = None if has_table(Path.cwd()) else project.root
    # A file, as a pipe ends only when every process that a migration has left running has ended.
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        with subprocess.Popen(
            called,
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(manifest,),
        ) as run:
            try:
                run.wait()
            except BaseException:
                run.terminate()
                raise
        output.seek(0)
        talk = output.read()
    said, *error = re.split(r"^Error: ", talk, maxsplit=1, flags=re.MULTILINE)
    print(said, end="", file=sys.stderr)  # noqa: T201  # what env.py says, or a traceback
    if run.returncode != 0:
        raise MigrationError(error[0].strip() if error else f"The migrations ended with status {run.returncode}.")


def _packages() -> list[tuple[str, int]]:
    """Return the names of all installed packages with their versions, and when they were installed (ns)."""
    folders = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    entries = [entry for folder in sorted(folders) if Path(folder).is_dir() for entry in os.scandir(folder)]
    return sorted((entry.path, entry.stat().st_mtime_ns) for entry in entries if entry.name.endswith(PACKAGE_MARKS))


def _kit() -> str:
    """Return the hash of the kit's sources, the simulation's aside."""
    below = (path for folder in ("commands", "server", "database") for path in (PACKAGE / folder).rglob("*"))
    sources = sorted(path for path in (*PACKAGE.iterdir(), *below) if path.suffix in SOURCES)
    return digest(b"\0".join(path.read_bytes() for path in sources))
