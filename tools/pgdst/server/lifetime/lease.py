"""The lease: a server lives exactly as long as the last process of its run, SIGKILL included.

A run has a directory with a fifo in it. The shell of the run opens the fifo for reading and writing, and every process
that it starts inherits that descriptor. So a reader of the fifo sees the end of file when the last of them has ended,
in whatever way. Nobody has to be told, and no process has to survive.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.server.lifetime import directory as directories
from pgdst.server.lifetime.detached import start_detached, wait_for_end
from pgdst.server.lifetime.ownership import owner
from pgdst.server.lifetime.signals import undisturbed, uninterrupted

FIFO: Final = "lease"  # files in a run's directory
OWNER: Final = "owner"
HOLDER: Final = "pgdst.server.lifetime.holder"


@dataclass(frozen=True)
class Lease:
    """The directory of a run; its name ends in the run's id."""

    directory: Path

    @property
    def run_id(self) -> str:
        """The id of the run, unique on this host."""
        return self.directory.name.removeprefix(directories.PREFIX)

    @property
    def fifo(self) -> Path:
        """The fifo that the processes of the run hold open."""
        return self.directory / FIFO

    def open_reader(self) -> int:
        """Return a descriptor that reads end of file once the last process of the run has ended."""
        return os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)

    @property
    def engine(self) -> str:
        """The name of the engine that was asked for the run's server."""
        return (self.directory / "engine").read_text(encoding="utf-8").strip()

    def write_environment(self, text: str) -> None:
        """Leave the server's coordinates for the run's shell, readable for this user only."""
        directories.write(self.directory / "environment", text)

    def write_manifest(self, text: str) -> Path:
        """Leave the manifest of the run's database for its tests; return where."""
        return directories.write(self.directory / "manifest.json", text)

    def sign(self) -> None:
        """Write down which process made this directory, so that a leftover can be told from a live one."""
        directories.write(self.directory / OWNER, json.dumps(owner()))


def take(directory: Path, engine: str) -> Lease:
    """Return the lease of the run whose shell has made `directory` and holds its fifo open.

    From now on there may be a server to remove at the run's end, so the name of its `engine` is written down.

    Raises: ConfigurationError where the directory is not one of a run.
    """
    lease = Lease(directory.absolute())
    if not directory.name.startswith(directories.PREFIX) or not lease.fifo.is_fifo():
        raise ConfigurationError(f"{directory} is not the directory of a run. Use with_postgres.sh -- COMMAND.")
    lease.sign()
    directories.write(directory / "engine", engine)
    return lease


def new() -> tuple[Lease, int]:
    """Make a run directory for this process; return its lease and the descriptor that keeps it alive.

    Children inherit the descriptor only if it is passed on, so the lease ends with this process.
    """
    lease = Lease(directories.make())
    os.mkfifo(lease.fifo, 0o600)
    lease.sign()
    return lease, os.open(lease.fifo, os.O_RDWR)


@contextmanager
def own() -> Iterator[Lease]:
    """Yield a lease of this process's own, which ends with the block; an interruption at any moment leaves nothing."""
    made: list[tuple[Lease, int]] = []
    try:
        with uninterrupted():  # or one that comes as soon as the directory is there would leave it
            made.append(new())
        yield made[0][0]
    finally:
        with undisturbed():
            for lease, descriptor in made:
                release(lease, descriptor)


def hold(lease: Lease, stream: int) -> None:
    """Start the holder: it keeps `stream` open until the lease ends, then removes the run's directory."""
    reader = lease.open_reader()
    try:
        arguments = (str(reader), str(stream), str(lease.directory))
        start_detached(HOLDER, *arguments, run_id=lease.run_id, descriptors=(reader, stream))
    finally:
        os.close(reader)


def release(lease: Lease, descriptor: int) -> None:
    """Let go of a lease of `new()`: wait for the processes that live by it, and remove the run's directory.

    Raises: subprocess.TimeoutExpired where one of them has not ended within 10 s.
    """
    os.close(descriptor)
    wait_for_end(lease.run_id)
    directories.remove(lease.directory)
