"""Postgres without Docker: the server that a Python wheel carries, on a Unix socket, or loopback too, unprivileged.

A server is a folder (server_folder.py) with a supervisor process (supervisor.py), which stops it and removes the
folder.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from platform import machine
from random import SystemRandom
from typing import ClassVar

import click

from pgdst.errors import ConfigurationError, ServerNotReadyError
from pgdst.project import call_of
from pgdst.server import settings
from pgdst.server.address import DATABASE, USER, Server
from pgdst.server.embedded import snapshot_folder, unprivileged, wheel
from pgdst.server.embedded.conversation import conversation
from pgdst.server.embedded.server_folder import ServerFolder
from pgdst.server.engine import log_shown, migrated
from pgdst.server.lifetime.detached import start_detached
from pgdst.server.lifetime.directory import PREFIX
from pgdst.server.lifetime.directory import remove as remove_directory
from pgdst.server.lifetime.keeping import keep, kept
from pgdst.server.lifetime.lease import Lease
from pgdst.server.lifetime.signals import undisturbed
from pgdst.server.lifetime.sweeping import leftover_directories
from pgdst.server.password import new_password
from pgdst.server.readiness import wait_until_ready
from pgdst.server.snapshot import filled, maker
from pgdst.server.spec import Recipe, ServerSpec, TimeToLive
from pgdst.timings import stage

SUPERVISOR = "pgdst.server.embedded.supervisor"
PORT = 5432  # the number in the socket's name
LOOPBACK = "127.0.0.1"
PORTS = range(20000, 32768)  # below those that Linux gives to whoever connects
PORT_ATTEMPTS = 10
POLL_SECONDS = 0.02
LOG_LINES = 50


@dataclass(frozen=True)
class _Running:
    """A server that was started just now."""

    server: Server
    folder: ServerFolder
    supervisor: "subprocess.Popen[bytes]"


class _PortTakenError(ServerNotReadyError):
    """Somebody else listens on the port that was drawn."""


class EmbeddedEngine:
    """The embedded engine: a server is a folder, with a supervisor process that stops it and removes the folder."""

    full_file: ClassVar[str] = "/dev/full"  # an ordinary process cannot mount anything: Linux's device without room

    def __init__(self, *, tcp: bool = False) -> None:
        self.tcp = tcp  # it listens on a port of 127.0.0.1, beside the socket

    def start(self, spec: ServerSpec) -> Server:
        """Start a server and return once it answers SQL and is migrated; else neither process nor folder is left."""
        spec = spec.begun()
        sweep()
        running = self._start(spec, self._snapshot(spec))
        try:
            with log_shown(running.folder.last_lines):
                return migrated(running.server, spec)
        except BaseException:
            with undisturbed():
                running.folder.remove()
            raise

    def _snapshot(self, spec: ServerSpec) -> snapshot_folder.Found | None:
        """Return the snapshot of the recipe, made now where there is none; None where none is wanted."""
        if spec.recipe is None or not spec.snapshot:
            return None
        key = spec.recipe.key_on(f"{wheel.PACKAGE} {machine()}")
        with stage("look for a snapshot"):
            found = snapshot_folder.find(key)
        if found is None:
            with stage("make a snapshot"):
                found = self._make_snapshot(spec, key, spec.recipe)
        click.echo(f"Snapshot {found.folder.name}, made from the wheel's Postgres.", err=True)
        return found

    def _start(self, spec: ServerSpec, snapshot: snapshot_folder.Found | None) -> _Running:
        """Start a server; where it listens on TCP, on one port after another until Postgres finds one free."""
        if not self.tcp or spec.makes_snapshot:
            return self._start_at(spec, snapshot, None)
        drawn = SystemRandom().sample(PORTS, min(PORT_ATTEMPTS, len(PORTS)))
        for port in drawn:
            with suppress(_PortTakenError):
                return self._start_at(spec, snapshot, port)
        raise ServerNotReadyError(
            f"Others listen on {LOOPBACK} at all of the ports that were tried: {', '.join(map(str, drawn))}. "
            "Run again, or without EMBEDDED_TCP."
        )

    def _start_at(self, spec: ServerSpec, snapshot: snapshot_folder.Found | None, port: int | None) -> _Running:
        folder = _folder_for(spec)
        with folder.made() as charge:
            # Every process of initdb's user can read the password that initdb gets, so the server gets another at once.
            first = snapshot.password if snapshot else new_password()
            server = Server(
                spec.run_id,
                str(folder.socket),  # at first, as nobody else can listen there
                port or PORT,
                new_password(),
                initial_password=first,
                engine="embedded",
            )
            if snapshot is not None:
                server = replace(server, manifest=snapshot.manifest)
                with stage("unpack"):
                    snapshot.unpack(folder.data)
            _write_plan(spec, folder, server, LOOPBACK if port else "")
            supervisor = _start_supervisor(spec, folder, charge)
            with stage("ready"):
                _wait(spec, server, folder, supervisor)
            if port:
                server = replace(server, host=LOOPBACK)
            if not spec.makes_snapshot:
                found = {"host": server.host, "port": server.port, "password": server.password}
                folder.write("address.json", json.dumps(found))
        return _Running(server, folder, supervisor)

    def _make_snapshot(self, wanted: ServerSpec, key: str, recipe: Recipe) -> snapshot_folder.Found:
        """Make the snapshot with a server of its own."""
        with maker(wanted) as spec:
            running = self._start(spec, None)
            try:
                with log_shown(running.folder.last_lines), spec.end.paused():
                    manifest, password = filled(recipe, running.server)
                _wait_until_packed(spec, running)
                return snapshot_folder.store(key, running.folder.packed, spec.checkout, password, manifest)
            finally:
                with undisturbed():
                    running.folder.remove()

    def find_dev(self, checkout: str) -> Server | None:
        """Return the running database of this checkout; one that is just being started does not count yet."""
        folder = _dev_folder(checkout)
        found = folder.read_json("address.json") if folder.is_own() else None
        if found is None or not folder.has_charge():
            return None
        if self.tcp and found["host"] != LOOPBACK:
            raise ConfigurationError(
                f"The database of this checkout is up, on a Unix socket alone. Run: {call_of('db-down')}, "
                "then start it again."
            )
        return Server(f"dev-{checkout}", found["host"], found["port"], found["password"], engine="embedded")

    def remove_dev(self, checkout: str) -> list[str]:
        """Stop this checkout's databases, the kept ones too, and remove their folders and those of dead runs."""
        removed = sweep()
        for run in kept(checkout):
            ServerFolder(run / "server").remove()
            remove_directory(run)
            removed.append(str(run))
        folder = _dev_folder(checkout)
        if not folder.is_own():
            return removed
        folder.remove()
        return [*removed, str(folder.path)]

    def keep_run(self, lease: Lease, checkout: str, seconds: int) -> str:
        """Write down that the run is kept; its supervisor reads that when the lease has ended."""
        if not ServerFolder(lease.directory / "server").has_charge():
            raise ServerNotReadyError("The server could not be kept: it has ended.")
        keep(lease, seconds, checkout)
        return str(lease.directory)

    def remove_run(self, lease: Lease, *, log_lines: int) -> list[str]:
        """Stop the run's server and remove its folder."""
        folder = ServerFolder(lease.directory / "server")
        lines = folder.last_lines(log_lines)
        folder.remove()
        return lines

    @staticmethod
    def conversation(server: Server, program: str) -> AbstractContextManager[Callable[[bytes], bytes]]:
        """Run a program of sh on this machine, and talk to it."""
        return conversation(server, program)


def sweep() -> list[str]:
    """Stop the servers of dead runs and remove their directories; return the directories' paths.

    Raises: ServerNotReadyError where a server does not end.
    """
    found = leftover_directories()
    for path in found:
        ServerFolder(path / "server").remove()
        remove_directory(path)
    return [str(path) for path in found]


def version() -> str:
    """Return the version of the wheel's server, such as `postgres (PostgreSQL) 16.14`."""
    command = [str(wheel.program("postgres")), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _folder_for(spec: ServerSpec) -> ServerFolder:
    """Return the folder of the server: in the run's directory, or at a place that depends on the checkout."""
    if not isinstance(spec.lifetime, Lease):
        return _dev_folder(spec.checkout)
    if unprivileged.identity() is not None:
        spec.lifetime.directory.chmod(0o711)  # Postgres goes through it, and sees nothing of it
    return ServerFolder(spec.lifetime.directory / "server")


def _dev_folder(checkout: str) -> ServerFolder:
    """Return the folder of this user's `make db-up`; another user of the same checkout has another."""
    return ServerFolder(Path(tempfile.gettempdir()) / f"{PREFIX}dev-{os.geteuid()}-{checkout}")


def _write_plan(spec: ServerSpec, folder: ServerFolder, server: Server, addresses: str) -> None:
    """Write the commands for the supervisor; the first password goes to initdb in a file, not in its arguments."""
    binaries = wheel.programs_for_the_server(folder.path / "postgres")
    secret = folder.path / "initial-password"
    initdb = [
        str(binaries / "initdb"),
        *settings.INITDB_ARGUMENTS,
        "--no-sync",
        "--no-instructions",
        "--auth=scram-sha-256",
    ]
    commands = {
        "initdb": [*initdb, f"--username={USER}", f"--pwfile={secret}", f"--pgdata={folder.data}"],
        "postgres": [
            *(str(binaries / "postgres"), "-D", str(folder.data), "-k", str(folder.socket)),
            *("-c", f"listen_addresses={addresses}", "-c", f"port={server.port}"),
            *("-c", "dynamic_shared_memory_type=mmap"),  # in its folder, and not where it would outlive a kill
            *settings.arguments(spec.server_settings, spec.run_id),
        ],
    }
    if server.manifest is not None:
        del commands["initdb"]
    else:
        unprivileged.give(folder.write(secret.name, server.initial_password or ""))
    if spec.makes_snapshot:  # once Postgres was shut down cleanly
        commands["pack"] = ["tar", "-cf", "-", "-C", str(folder.data), "."]
    leased = isinstance(spec.lifetime, Lease)
    plan = {
        "commands": commands,
        "outputs": {"pack": str(folder.packed)},
        "identity": unprivileged.identity(),
        "environment": unprivileged.ENVIRONMENT,
        "remove_at_end": [str(folder.path.parent if leased else folder.path)],
        "remove_at_stop": [str(folder.path)],
    }
    folder.write("plan.json", json.dumps(plan))


def _start_supervisor(spec: ServerSpec, folder: ServerFolder, charge: int) -> "subprocess.Popen[bytes]":
    reader = spec.lifetime.open_reader() if isinstance(spec.lifetime, Lease) else None
    end = f"seconds:{spec.lifetime.seconds}" if isinstance(spec.lifetime, TimeToLive) else f"lease:{reader}"
    try:
        descriptors = (charge,) if reader is None else (charge, reader)
        arguments = (str(folder.path), end, str(charge))
        return start_detached(SUPERVISOR, *arguments, run_id=spec.run_id, descriptors=descriptors)
    finally:
        if reader is not None:
            os.close(reader)


def _wait(spec: ServerSpec, server: Server, folder: ServerFolder, supervisor: "subprocess.Popen[bytes]") -> None:
    def died() -> str | None:
        if (failed := folder.read_json("exit")) is not None:
            log = "\n".join(f"  {line}" for line in folder.last_lines(LOG_LINES))
            if "could not create any TCP/IP sockets" in log and "Address already in use" in log:
                raise _PortTakenError
            return f"{failed['command']} died at start: exit code {failed['code']}. Its last log lines:\n{log}"
        return None if supervisor.poll() is None else "The supervisor of the embedded Postgres was killed at start."

    first = server.with_database("postgres")  # what initdb makes
    wait_until_ready(first, spec, died)
    if server.manifest is not None:
        return
    with first.connect() as connection:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    (folder.path / "initial-password").unlink()


def _wait_until_packed(spec: ServerSpec, running: _Running) -> None:
    """Have Postgres shut down cleanly, and wait for the supervisor's next command. Raises: ServerNotReadyError."""
    running.supervisor.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + spec.wait_seconds
    while not running.folder.packed.exists():
        if running.folder.read_json("exit") or running.supervisor.poll() is not None or time.monotonic() > deadline:
            log = "\n".join(f"  {line}" for line in running.folder.last_lines(LOG_LINES))
            raise ServerNotReadyError(f"The data directory could not be packed. The server's last log lines:\n{log}")
        time.sleep(POLL_SECONDS)
