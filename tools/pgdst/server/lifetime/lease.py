"""The lease: a server lives exactly as long as the last process of its run, SIGKILL included.

A run has a directory with a fifo in it. The shell of the run opens the fifo for reading and writing and every process
that it starts inherits that descriptor; so the read end sees its end of file when the last of them has gone, however
it went. Nobody has to be told, no process has to survive.
"""

import json
import math
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pgdst.errors import ConfigurationError

PREFIX = "pgdst-"
KEEP = "keep"  # a file in a run's directory: until when it stays after the run
# By run.
DETACHED: defaultdict[str, list["subprocess.Popen[bytes]"]] = defaultdict(list)
# A run's directory is known by its name alone, from its making to the last of its removal: the id of who has made it,
# and something random. A shell makes it, which knows no more of itself than that.
_NAME = re.compile(rf"{PREFIX}(?P<pid>[0-9]+)-[A-Za-z0-9_]+")
# Where a process id means something else, in a container that shares the folder, a directory is complete by then.
_INCOMPLETE_SECONDS = 0.5
UNSIGNED_SECONDS = 60  # another process may have the maker's id by now
RELEASE_SECONDS = 10
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OWNER = {"host": str, "pid": int, "started": float}
_LONGEST_OWNER = 1000  # characters; a label of somebody else's may have millions
HOLDER = Path(__file__).with_name("holder.py")


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to run on when this one ends."""

    def __del__(self) -> None:
        """Do not warn that it does."""


@dataclass(frozen=True)
class Lease:
    """The directory of a run; its name ends in the run's id."""

    directory: Path

    @property
    def run_id(self) -> str:
        """The id of the run, unique on this host."""
        return self.directory.name.removeprefix(PREFIX)

    @property
    def fifo(self) -> Path:
        """What the processes of the run hold open."""
        return self.directory / "lease"

    def open_reader(self) -> int:
        """Return a descriptor that reads end of file once the last process of the run has ended."""
        return os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)

    @property
    def engine(self) -> str:
        """The name of the engine that the run's server was asked of."""
        return (self.directory / "engine").read_text(encoding="utf-8").strip()

    def write_environment(self, text: str) -> None:
        """Leave the server's coordinates for the run's shell, readable for this user only."""
        _write(self.directory / "environment", text)

    def write_manifest(self, text: str) -> Path:
        """Leave what the database was migrated from for the run's tests; return where."""
        return _write(self.directory / "manifest.json", text)

    def sign(self) -> None:
        """Write down which process made this directory, so that a leftover can be told from a live one."""
        _write(self.directory / "owner", json.dumps(owner()))


def take(directory: Path, engine: str) -> Lease:
    """Return the lease of the run whose shell has made `directory` and holds its fifo open.

    From now on there may be a server, so the run's end has something to remove: `engine` is written down.

    Raises: ConfigurationError where the directory is not one of a run.
    """
    lease = Lease(directory.absolute())
    if not directory.name.startswith(PREFIX) or not lease.fifo.is_fifo():
        raise ConfigurationError(f"{directory} is not the directory of a run. Use with_postgres.sh -- COMMAND.")
    lease.sign()
    _write(directory / "engine", engine)
    return lease


def new() -> tuple[Lease, int]:
    """Make a run directory for this process; return its lease and the descriptor that keeps it alive.

    Children inherit the descriptor only if it is passed on, so the lease ends with this process.
    """
    lease = Lease(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).absolute())
    os.mkfifo(lease.fifo, 0o600)
    lease.sign()
    return lease, os.open(lease.fifo, os.O_RDWR)


def hold(lease: Lease, stream: int) -> None:
    """Start the holder: it keeps `stream` open until the lease ends, then removes the run's directory."""
    reader = lease.open_reader()
    try:
        arguments = (str(reader), str(stream), str(lease.directory))
        start_detached(HOLDER, *arguments, run_id=lease.run_id, descriptors=(reader, stream))
    finally:
        os.close(reader)


def keep(lease: Lease, seconds: int, checkout: str) -> None:
    """Let the run's directory, and the server in it, stay for so many seconds after the run."""
    text = json.dumps({"until": time.time() + seconds, "checkout": checkout})
    _write(lease.directory / "keep.new", text).rename(lease.directory / KEEP)


def kept(checkout: str) -> list[Path]:
    """Return the directories of runs of this checkout that are kept."""
    found = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    return [path for path in sorted(found) if (_keeping(path) or {}).get("checkout") == checkout]


def _keeping(path: Path) -> dict[str, Any] | None:
    try:
        if not _is_own(path):
            return None
        said: dict[str, Any] = json.loads((path / KEEP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said


def _is_own(path: Path) -> bool:
    """Tell whether a folder is this user's, by one look: what another has made may be another thing at the next."""
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _write(file: Path, text: str) -> Path:
    """Write a file that nobody else can read or change, as others may pass a run's directory."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    return file


def release(lease: Lease, descriptor: int) -> None:
    """Let go of a lease of `new()`: wait for the processes that live by it, and remove the run's directory."""
    os.close(descriptor)
    for process in DETACHED.pop(lease.run_id, []):
        process.wait(RELEASE_SECONDS)
    remove_directory(lease.directory)


def start_detached(
    script: Path, *arguments: str, run_id: str, descriptors: tuple[int, ...] = ()
) -> "subprocess.Popen[bytes]":
    """Start one of our scripts for a run, in a session of its own, out of the terminal's reach; it outlives us.

    It inherits these descriptors only, so not the run's end of a lease.
    """
    process = _Detached(
        [sys.executable, "-I", "-S", str(script), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
        cwd="/",
    )
    DETACHED[run_id].append(process)
    return process


def owner() -> dict[str, str | int | float]:
    """Return who we are: where process ids mean the same, our id, and our start (seconds since the epoch)."""
    me = psutil.Process()
    return {"host": _process_space(), "pid": me.pid, "started": round(me.create_time(), 2)}


def owner_in(text: str | None) -> dict[str, Any] | None:
    """Return the `owner()` that was written down, or None for what is none: anybody may write it."""
    try:
        found = json.loads(text or "") if len(text or "") < _LONGEST_OWNER else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or {name: type(found.get(name)) for name in _OWNER} != _OWNER:
        return None
    return found if 0 < found["pid"] < 2**31 and math.isfinite(found["started"]) else None


def is_alive(found: dict[str, Any] | None) -> bool | None:
    """Tell whether the process of an `owner_in` still lives; None where there is none, or its id means nothing here."""
    if found is None or found["host"] != _process_space():
        return None
    try:
        return abs(psutil.Process(int(found["pid"])).create_time() - float(found["started"])) < 1
    except psutil.NoSuchProcess:
        return False


def _process_space() -> str:
    """Return what tells this boot and process namespace from another: containers may share a host's name and daemon."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{uuid.getnode():x}"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal of a terminal or of a service manager interrupt the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait until the block has ended: what is asked of a daemon happens, whoever still waits for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda found, _: arrived.append(found)) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:  # the first one ends the program, and is answered in the way it was before
            signal.raise_signal(arrived[0])


def leftover_directories() -> list[Path]:
    """Return run directories of ours whose run has ended: nobody holds the fifo and the maker is dead."""
    candidates = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    return sorted(path for path in candidates if _is_leftover(path))


def sweep_directories() -> list[str]:
    """Remove the directories of dead runs, those with an embedded server in them aside; return their paths."""
    found = [path for path in leftover_directories() if not (path / "server").exists()]
    for path in found:
        remove_directory(path)
    return [str(path) for path in found]


def _is_leftover(path: Path) -> bool:
    try:
        if not _is_own(path):
            return False
        if (_keeping(path) or {}).get("until", 0) > time.time():
            return False
        if not (path / "lease").is_fifo():
            return bool(_NAME.fullmatch(path.name)) and _maker_is_dead(path)
        return not _is_held(path / "lease") and _maker_is_dead(path)
    except OSError:
        return False


def _maker_is_dead(path: Path) -> bool:
    """Tell whether the maker has ended, by its signature; where there is none, by the directory's name and age."""
    try:
        return is_alive(owner_in((path / "owner").read_text(encoding="utf-8"))) is False
    except FileNotFoundError:
        named, age = _NAME.fullmatch(path.name), time.time() - path.stat().st_mtime
        is_gone = named is not None and not psutil.pid_exists(int(named["pid"]))
        return age > (_INCOMPLETE_SECONDS if is_gone else UNSIGNED_SECONDS)
    except ValueError:
        return False


def _is_held(fifo: Path) -> bool:
    """Tell whether somebody has the fifo open: opening it for writing without waiting then succeeds."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def remove_directory(path: Path) -> None:
    """Remove a run's directory; that it is gone already is success."""
    shutil.rmtree(path, ignore_errors=True)
