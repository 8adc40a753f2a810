"""Postgres without Docker: the server that a Python wheel carries, on a Unix socket, unprivileged."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from platform import machine

import click
import psutil

from pgdst.errors import AlreadyStartingError, EmbeddedError, PgdstError, ServerNotReadyError
from pgdst.server import lease, settings, snapshot_folder, wheel
from pgdst.server.address import DATABASE, USER, Server
from pgdst.server.engine import Order, TimeToLive, check, new_password, wait_until_ready
from pgdst.server.lease import (
    PREFIX,
    Lease,
    keep,
    leftover_directories,
    owner,
    remove_directory,
    start_detached,
    undisturbed,
)
from pgdst.server.snapshot import Recipe, set_password
from pgdst.timings import stage

SUPERVISOR = Path(__file__).with_name("supervisor.py")
SOCKET_PATH_BYTES = 103  # the shortest limit: macOS
UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
STOP_SECONDS = 10
POLL_SECONDS = 0.02
LOG_LINES = 50
SHOWN_LOG_LINES = 10  # where the migrations for a snapshot fail
PACKED = "packed.tar"


class EmbeddedEngine:
    """The embedded engine: a server is a folder, with a supervisor process that stops it and removes the folder."""

    def start(self, order: Order) -> Server:
        """Start a server and return once it answers SQL; on failure neither process nor folder is left."""
        check(order)
        sweep()
        if order.recipe is None:
            return self._start(order, None)
        key = order.recipe.key_on(f"{wheel.PACKAGE} {machine()}")
        with stage("look for a snapshot"):
            found = snapshot_folder.find(key)
        if found is None:
            with stage("make a snapshot"):
                found = self._make_snapshot(order, key, order.recipe)
        click.echo(f"Snapshot {found.folder.name}, made from the wheel's Postgres.", err=True)
        return self._start(order, found)

    def _start(self, order: Order, snapshot: snapshot_folder.Found | None) -> Server:
        directory = _make_directory(order)
        try:
            server = Server(order.run_id, str(directory), 5432, new_password())
            if snapshot is not None:
                server = replace(server, manifest=snapshot.manifest, initial_password=snapshot.password)
                with stage("unpack"):
                    snapshot.unpack(directory / "data")
            _write_plan(order, directory, server)
            supervisor = _start_supervisor(order, directory)
            with stage("ready"):
                _wait(order, server, directory, supervisor)
            if not order.makes_snapshot:
                (directory / "password").write_text(server.password, encoding="utf-8")
        except BaseException:
            with undisturbed():
                _remove(directory)
            raise
        return server

    def _make_snapshot(self, order: Order, key: str, recipe: Recipe) -> snapshot_folder.Found:
        """Make the snapshot with a server of its own, which lives by the run's lease, else by this process's."""
        own = None if isinstance(order.lifetime, Lease) else lease.new()
        making = replace(order, lifetime=own[0] if own else order.lifetime, makes_snapshot=True)
        try:
            server = self._start(making, None)
            try:
                return self._fill_and_store(making, server, key, recipe)
            finally:
                with undisturbed():
                    _remove(Path(server.host))
        finally:
            if own:
                lease.release(*own)

    def _fill_and_store(self, order: Order, server: Server, key: str, recipe: Recipe) -> snapshot_folder.Found:
        directory = Path(server.host)
        try:
            manifest = recipe.fill(server)
        except PgdstError:
            log = "".join(f"\n  {line}" for line in _log(directory, SHOWN_LOG_LINES))
            click.echo(f"The last lines of the server's log:{log}", err=True)
            raise
        password = new_password()
        with server.connect() as connection:
            set_password(connection, server.user, password)
        _wait_until_packed(order, directory)
        return snapshot_folder.store(key, directory / PACKED, order.checkout, password, manifest)

    def find_dev(self, checkout: str) -> Server | None:
        """Return the running database of this checkout; one that is just being started does not count yet."""
        directory = _dev_directory(checkout)
        try:
            if directory.is_symlink() or directory.stat().st_uid not in _own_ids():
                return None
            password = (directory / "password").read_text(encoding="utf-8")
        except OSError:
            return None
        return Server(f"dev-{checkout}", str(directory), 5432, password) if list(processes(directory)) else None

    def remove_dev(self, checkout: str) -> list[str]:
        """Stop this checkout's databases, the kept ones too, and remove their folders and those of dead runs."""
        removed = sweep()
        for run in lease.kept(checkout):
            _remove(run / "server")
            remove_directory(run)
            removed.append(str(run))
        directory = _dev_directory(checkout)
        if directory.is_symlink() or not directory.exists() or directory.stat().st_uid not in _own_ids():
            return removed
        _remove(directory)
        return [*removed, str(directory)]

    def keep_run(self, lease: Lease, checkout: str, seconds: int) -> str:
        """Leave word for the run's supervisor, which looks when the lease has ended."""
        if not list(processes(lease.directory / "server")):
            raise ServerNotReadyError("The server could not be kept: it has ended.")
        keep(lease, seconds, checkout)
        return str(lease.directory)

    def remove_run(self, lease: Lease, *, log_lines: int) -> list[str]:
        """Stop the run's server and remove its folder."""
        directory = lease.directory / "server"
        lines = _log(directory, log_lines)
        _remove(directory)
        return lines

    def shell(self, server: Server, arguments: list[str]) -> int:
        """Run the wheel's psql on the server's socket."""
        psql = _installation(Path(server.host)) / "bin" / "psql"
        with server.as_environment():
            return subprocess.run([str(psql), *arguments], check=False).returncode


def processes(directory: Path) -> Iterator[psutil.Process]:
    """Yield the processes that work on this folder, found by their arguments: supervisor, initdb, postgres, tar."""
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        program = {Path(argument).name for argument in arguments[:4]}
        if str(directory) in "\0".join(arguments) and program & {"supervisor.py", "initdb", "postgres", "tar"}:
            yield process


def sweep() -> list[str]:
    """Stop the servers of dead runs and remove their directories; return the directories' paths.

    Raises: ServerNotReadyError where a server does not end.
    """
    found = leftover_directories()
    for path in found:
        _remove(path / "server")
        remove_directory(path)
    return [str(path) for path in found]


def version() -> str:
    """Return what the wheel's server calls itself, such as `postgres (PostgreSQL) 16.14`."""
    program = wheel.find() / "pginstall" / "bin" / "postgres"
    return subprocess.run([str(program), "--version"], check=True, capture_output=True, text=True).stdout.strip()


def _make_directory(order: Order) -> Path:
    """Make the server's folder: in the run's, or one that this checkout finds again."""
    if isinstance(order.lifetime, Lease):
        directory = order.lifetime.directory / "server"
        order.lifetime.directory.chmod(0o711)  # the unprivileged user goes through it, and sees nothing of it
    else:
        directory = _dev_directory(order.checkout)
    longest = len(os.fsencode(directory / ".s.PGSQL.5432"))
    if longest > SOCKET_PATH_BYTES:
        raise EmbeddedError(f"The path {directory} is too long for a Unix socket. Run with TMPDIR=/tmp.")
    identity = _identity()
    closed = [str(parent) for parent in directory.parents if identity and not parent.stat().st_mode & stat.S_IXOTH]
    if closed:
        raise EmbeddedError(
            f"Postgres runs as {UNPRIVILEGED} where pgdst runs as root, and {closed[0]} is closed to others. "
            "Run with TMPDIR=/tmp, or as another user."
        )
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyStartingError(
            f"{directory} is there already, without a server: another start is under way, or was killed. "
            "Run: make db-down"
        ) from None
    except OSError as error:
        raise EmbeddedError(f"Cannot make the folder {directory}: {error.strerror}.") from error
    (directory / "owner").write_text(json.dumps(owner()), encoding="utf-8")
    if identity:
        os.chown(directory, *identity)
    return directory


def _dev_directory(checkout: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}dev-{checkout}"


def _identity() -> tuple[int, int] | None:
    """Return the user and group for Postgres where this process is root, else None."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def _own_ids() -> set[int]:
    identity = _identity()
    return {os.geteuid(), *(identity[:1] if identity else ())}


def _installation(directory: Path) -> Path:
    """Return a `pginstall` that the server's user can execute: the wheel's, or a copy of it in `directory`."""
    package = wheel.find()
    copy = directory / "postgres" / package.name / "pginstall"
    if copy.is_dir():
        return copy
    identity = _identity()
    if identity is None or _executable(package / "pginstall" / "bin" / "postgres", identity):
        return package / "pginstall"
    # A checkout in root's home is out of reach for the unprivileged user.
    unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
    shutil.copytree(package / "pginstall", copy, ignore=unneeded)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / "postgres" / libraries.name)
    return copy


def _executable(program: Path, identity: tuple[int, int]) -> bool:
    user, group = identity
    try:
        made = subprocess.run(
            [str(program), "--version"],
            user=user,
            group=group,
            extra_groups=[],
            capture_output=True,
            cwd="/",
            check=False,
        )
    except PermissionError:
        return False
    return made.returncode == 0


def _write_plan(order: Order, directory: Path, server: Server) -> None:
    """Write the commands for the supervisor; the password goes to initdb in a file, not in its arguments."""
    binaries = _installation(directory) / "bin"
    identity = _identity()
    secret, data = directory / "initial-password", directory / "data"
    initdb = [
        str(binaries / "initdb"),
        *settings.INITDB_ARGUMENTS,
        "--no-sync",
        "--no-instructions",
        "--auth=scram-sha-256",
    ]
    leased = isinstance(order.lifetime, Lease)
    commands = {
        "initdb": [*initdb, f"--username={USER}", f"--pwfile={secret}", f"--pgdata={data}"],
        "postgres": [
            *(str(binaries / "postgres"), "-D", str(data), "-k", str(directory), "-c", "listen_addresses="),
            *settings.arguments(order.server_settings, order.run_id),
        ],
    }
    if server.manifest is not None:
        del commands["initdb"]
    else:
        secret.touch(mode=0o600)
        secret.write_text(server.password, encoding="utf-8")
        if identity:
            os.chown(secret, *identity)
    if order.makes_snapshot:  # once Postgres has been stopped cleanly
        pack = 'tar -cf "$1.new" -C "$2" . && mv "$1.new" "$1" && exec sleep 600'
        commands["pack"] = ["/bin/sh", "-c", pack, "pack", str(directory / PACKED), str(data)]
    plan = {
        "commands": commands,
        "identity": identity,
        # Without TZ initdb compares this machine's time with every time zone, for up to two seconds.
        "environment": {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        "remove_at_end": [str(directory.parent if leased else directory)],
        "remove_at_stop": [str(directory)],
    }
    (directory / "plan.json").write_text(json.dumps(plan), encoding="utf-8")


def _start_supervisor(order: Order, directory: Path) -> "subprocess.Popen[bytes]":
    reader = order.lifetime.open_reader() if isinstance(order.lifetime, Lease) else None
    end = f"seconds:{order.lifetime.seconds}" if isinstance(order.lifetime, TimeToLive) else f"lease:{reader}"
    try:
        descriptors = () if reader is None else (reader,)
        return start_detached(SUPERVISOR, str(directory), end, run_id=order.run_id, descriptors=descriptors)
    finally:
        if reader is not None:
            os.close(reader)


def _wait(order: Order, server: Server, directory: Path, supervisor: "subprocess.Popen[bytes]") -> None:
    def died() -> str | None:
        if (directory / "exit").exists():
            failed = json.loads((directory / "exit").read_text(encoding="utf-8"))
            log = "\n".join(f"  {line}" for line in _log(directory, LOG_LINES))
            return f"{failed['command']} died at start: exit code {failed['code']}. Its last log lines:\n{log}"
        return None if supervisor.poll() is None else "The supervisor of the embedded Postgres was killed at start."

    first = server.with_database("postgres")  # what initdb makes
    wait_until_ready(first, order, died)
    if server.manifest is not None:
        return
    with first.connect() as connection:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    (directory / "initial-password").unlink()


def _wait_until_packed(order: Order, directory: Path) -> None:
    """Stop Postgres cleanly and wait for the supervisor's next command. Raises: ServerNotReadyError."""
    postmaster = int((directory / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    os.kill(postmaster, signal.SIGINT)
    deadline = time.monotonic() + order.wait_seconds
    while not (directory / PACKED).exists():
        if (directory / "exit").exists() or time.monotonic() > deadline:
            log = "\n".join(f"  {line}" for line in _log(directory, LOG_LINES))
            raise ServerNotReadyError(f"The data directory could not be packed. The server's last log lines:\n{log}")
        time.sleep(POLL_SECONDS)


def _log(directory: Path, lines: int) -> list[str]:
    try:
        written = (directory / "log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return written.splitlines()[-lines:] if lines else []


def _remove(directory: Path) -> None:
    """Stop whatever works on this folder, then remove it.

    Raises: ServerNotReadyError where a process does not end within 10 s.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while found := list(processes(directory)):
        supervisors = [p for p in found if "supervisor.py" in "".join(p.info["cmdline"] or [])]
        for process in supervisors or found:
            _stop(process)
        if time.monotonic() > deadline:
            raise ServerNotReadyError(f"Processes of {directory} do not end: {[p.pid for p in found]}.")
        time.sleep(POLL_SECONDS)  # not psutil.wait_procs: a process 1 that reaps late would make it wait for zombies
    remove_directory(directory)


def _stop(process: psutil.Process) -> None:
    """Ask a process to end; a server, which only stands here where it lost its supervisor, to do so immediately."""
    is_server = "postgres" in {Path(argument).name for argument in process.info["cmdline"][:1]}
    try:
        process.send_signal(signal.SIGQUIT if is_server else signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
