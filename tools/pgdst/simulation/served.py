"""A backend in a process of its own: clients call it over HTTP, and it connects to its database through the gate."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import psutil

from pgdst.errors import ConfigurationError

_ENDS_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 1.0  # how long a busy backend is waited for
_LOOKS: Final = 2  # it is quiet when none of its threads was running, so many times in a row
_LAST_LINES: Final = 20
_FAMILY_SECONDS: Final = 1.0
# If the test process is killed, the watch reads the end of its input and kills the backend's process group.
_WATCH: Final = 'read -r group && [ -n "$group" ] && { read -r _ || kill -s KILL -- "-$group"; }'
# With these variables the backend would connect to the run's server directly, not through the gate.
_BYPASSES: Final = ("DATABASE_URL", "PGDST_DATABASE_URL", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD")


class Served:
    """A backend that runs until `close`, or until this process ends, even by SIGKILL."""

    def __init__(self, command: Sequence[str], folder: Path | None, deadline_seconds: float) -> None:
        self.port = _free_port()
        if isinstance(command, str) or not command:
            raise ConfigurationError(f"The command of a backend is a list of words, found {command!r}.")
        self._command = [os.fspath(one).replace("{port}", str(self.port)) for one in command]
        self._folder = folder
        self._deadline_seconds = deadline_seconds
        self._environment: dict[str, str] = {}
        self._opened = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[int] = []
        self._looked_at = float("-inf")

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it and return when it answers. `{port}` in the command is replaced by a free port of 127.0.0.1.

        Raises: ConfigurationError, with the backend's last lines, if it does not answer.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in _BYPASSES}
        self._environment = {**inherited, **environment}
        try:
            self._log = self._opened.enter_context(_log())
            self._watch = self._start_the_watch()
            self._process = self._start()
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise

    def restart(self) -> None:
        """End it and start it anew, so that it keeps no dead connections."""
        self.close()
        self._opened, self._looked_at = ExitStack(), float("-inf")
        self.start(self._environment)

    def _start_the_watch(self) -> "subprocess.Popen[bytes]":
        watch = subprocess.Popen(["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, start_new_session=True)
        self._opened.callback(self._dismiss, watch)
        return watch

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        except OSError as error:
            name = error.filename or self._command[0]
            raise ConfigurationError(f"The backend cannot be started: {name}: {error.strerror}.") from error
        _say(self._watch, f"{process.pid}\n".encode())
        self._opened.callback(_end, process)
        return process

    def _dismiss(self, watch: "subprocess.Popen[bytes]") -> None:
        """End the watch. If the backend still runs, because ending it was interrupted, the watch kills it first."""
        if self._process is None or self._process.returncode is not None:
            _say(watch, b"\n")
        watch.communicate()

    def how_it_ended(self) -> str:
        """Return the exit status and last lines of a backend that has ended by itself, "" while it runs."""
        status = self._process.poll() if self._process is not None else None
        return "" if status is None else f"The backend has ended with status {status}.{self.last_lines()}"

    @property
    def url(self) -> str:
        """The base URL of the backend."""
        return f"http://127.0.0.1:{self.port}"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self._deadline_seconds
        while not self._answers():
            if ended := self.how_it_ended():
                raise ConfigurationError(ended)
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The backend has not answered at {self.url} within {self._deadline_seconds:g} s. "
                    f"Its command has to listen there: give it the port as {{port}}.{self.last_lines()}"
                )
            time.sleep(0.02)

    def _answers(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)) as connection:
            try:
                connection.request("GET", "/")
                connection.getresponse()
            except (OSError, http.client.HTTPException):
                return False
        return self._listens()

    def _listens(self) -> bool:
        """Tell whether this backend listens at the port: another process may have taken the port first."""
        self._looked_at = float("-inf")
        found = []
        for pid in self._pids():
            with suppress(psutil.Error):
                found += psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in found)

    def last_lines(self) -> str:
        """Return the last lines of its output, or a sentence that says there are none."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
        return (
            "\n".join([" Its last lines:", *(f"  {line}" for line in lines)]) if lines else " It has written nothing."
        )

    def wait_until_quiet(self) -> bool:
        """Wait until none of its threads runs, so that it sends nothing more until it receives something.

        Return False if it is busy for longer than a second. Thread states are read from /proc; without one (not on
        Linux) it counts as quiet at once. Anything that it sends afterwards out of turn is refused.
        """
        deadline, seen = time.monotonic() + _QUIET_SECONDS, 0
        while seen < _LOOKS:
            seen = 0 if self._runs() else seen + 1
            if time.monotonic() > deadline:
                return False
        return True

    def _runs(self) -> bool:
        """Tell whether a thread of it, or of a process that it has started, is running or ready to run."""
        return any(_state(thread) in b"RD" for pid in self._pids() for thread in _threads(pid))

    def _pids(self) -> list[int]:
        """Return the pids of the backend and of its children, at most a second old."""
        if time.monotonic() > self._looked_at + _FAMILY_SECONDS:
            self._looked_at = time.monotonic()
            if self._process is not None:
                with suppress(psutil.Error):
                    children = psutil.Process(self._process.pid).children(recursive=True)
                    self._family = [self._process.pid, *(child.pid for child in children)]
        return self._family

    def close(self) -> None:
        """End the backend and the processes that it has started."""
        self._opened.close()


def _log() -> IO[bytes]:
    return TemporaryFile(prefix="pgdst-served-")


def _threads(pid: int) -> list[str]:
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            return [f"{thread.path}/stat" for thread in threads]
    except OSError:  # it has ended, or the system has no such folder
        return []


def _state(thread: str) -> bytes:
    """Return the letter of a thread's state. This runs at every step, and pathlib would take ten times as long."""
    try:
        descriptor = os.open(thread, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 200).rpartition(b") ")[2][:1]
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _say(watch: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert watch.stdin is not None
    with suppress(BrokenPipeError):
        watch.stdin.write(line)
        watch.stdin.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and its group: politely, then by force."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_SECONDS)
    finally:  # a second Ctrl-C may interrupt the wait
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
