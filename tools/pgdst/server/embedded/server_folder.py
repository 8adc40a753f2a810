"""The folder of an embedded server: what is in it, who is in charge of it, and its removal.

    supervisor        locked by the process in charge: the one that starts the server, then the supervisor, with its pid
    address.json      where the server listens, and the password
    owner, plan.json, log, exit, packed.tar, postgres/
    data/, socket/    Postgres's own: they belong to the unprivileged user where this one is root

The folder and all but the last two belong to this user, and nobody else reads or changes the files.
"""

import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgdst.errors import AlreadyStartingError, EmbeddedError, ServerNotReadyError
from pgdst.project import call_of
from pgdst.server.embedded import unprivileged
from pgdst.server.lifetime.ownership import owner
from pgdst.server.lifetime.signals import undisturbed

STOP_SECONDS = 10
POLL_SECONDS = 0.02
LOG_BYTES = 64 * 1024  # of the log's end, in which its last lines are looked for
SOCKET_PATH_BYTES = 103  # the shortest limit: macOS
_LONGEST_PORT = 65535
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True)
class ServerFolder:
    """The folder of one server."""

    path: Path

    @property
    def data(self) -> Path:
        """Postgres's data directory."""
        return self.path / "data"

    @property
    def socket(self) -> Path:
        """The directory of the Unix socket."""
        return self.path / "socket"

    @property
    def packed(self) -> Path:
        """The packed data directory, once Postgres was stopped for it."""
        return self.path / "packed.tar"

    @property
    def _charge(self) -> Path:
        return self.path / "supervisor"

    @contextmanager
    def made(self) -> Iterator[int]:
        """Make the folder, which is removed where the block fails; yield the descriptor that has it in charge.

        That ends with the block, or with the last process that has inherited the descriptor.

        Raises: EmbeddedError, and AlreadyStartingError where it is there and ours.
        """
        self._check_place()
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            raise self._taken() from None
        except OSError as error:
            raise EmbeddedError(f"Cannot make the folder {self.path}: {error.strerror}.") from error
        try:
            with self._filled() as charge:
                yield charge
        except BaseException:
            with undisturbed():
                self.remove()
            raise

    @contextmanager
    def _filled(self) -> Iterator[int]:
        charge = os.open(self._charge, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(charge, fcntl.LOCK_EX)
            self.write("owner", json.dumps(owner()))
            for own in (self.data, self.socket):
                own.mkdir(mode=0o700)
                unprivileged.give(own)
            if unprivileged.identity() is not None:
                self.path.chmod(0o711)  # Postgres goes through it, and sees nothing of it
            yield charge
        finally:
            os.close(charge)

    def _check_place(self) -> None:
        longest = len(os.fsencode(self.socket / f".s.PGSQL.{_LONGEST_PORT}"))
        if longest > SOCKET_PATH_BYTES:
            raise EmbeddedError(f"The path {self.socket} is too long for a Unix socket. Run with TMPDIR=/tmp.")
        unprivileged.require_reachable(self.path)
        unprivileged.require_safe(self.path, "Run with TMPDIR=/tmp, or as another user.")

    def _taken(self) -> EmbeddedError | AlreadyStartingError:
        if not self.is_own():
            return EmbeddedError(
                f"{self.path} is there already, and belongs to somebody else: it is left alone. "
                "Remove it, or set TMPDIR to another folder."
            )
        return AlreadyStartingError(
            f"{self.path} is there already, without a server: another start is under way, or was killed. "
            f"Run: {call_of('db-down')}"
        )

    def is_own(self) -> bool:
        """Tell whether it exists and is this user's: nobody else can have made the files beside data/ and socket/."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()

    def write(self, name: str, text: str) -> Path:
        """Write a file at once (by renaming) that only this user can read."""
        new = self.path / f"{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        new.rename(self.path / name)
        return self.path / name

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the content of a JSON file, or None where there is none."""
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines of the log, without control characters: any client may have sent them."""
        try:
            with (self.path / "log").open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [_UNPRINTABLE.sub("?", line) for line in lines[-count:]] if count else []

    def has_charge(self) -> bool:
        """Tell whether somebody is in charge of it: its server runs, or is being started or stopped."""
        try:
            found = os.open(self._charge, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(found)
        return False

    def remove(self) -> None:
        """Have the supervisor stop the server, then remove the folder; a folder that is gone already is no error.

        Raises: ServerNotReadyError where that takes longer than 10 s.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while self.has_charge():
            self._end_supervisor()
            if time.monotonic() > deadline:
                raise ServerNotReadyError(
                    f"The process in charge of {self.path} does not end. Kill it: {self._charge} has its pid."
                )
            time.sleep(POLL_SECONDS)
        # A server that has lost its supervisor ends at this moment, and may still make a file.
        while os.path.lexists(self.path):
            # Not shutil's: a folder may be nested more deeply than Python recurses.
            subprocess.run(["/bin/rm", "-rf", "--", str(self.path)], capture_output=True, check=False)
            if time.monotonic() > deadline:
                raise ServerNotReadyError(f"{self.path} could not be removed, or is written to again and again.")

    def _end_supervisor(self) -> None:
        """Ask the supervisor to end. While it is in charge its pid is its own, and only this user can write it down."""
        with suppress(OSError, ValueError):  # it has ended meanwhile, or has written nothing yet
            os.kill(int(self._charge.read_text(encoding="ascii")), signal.SIGTERM)
