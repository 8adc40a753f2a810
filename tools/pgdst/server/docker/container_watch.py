"""Watching a container that removes itself: afterwards Docker has neither its log nor its exit code."""

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager

import docker

from pgdst.server.docker.streams import frames, opened

LOG_LINES = 50
EVENT_SECONDS = 1.0  # Docker announces a death a few milliseconds after the end of its log


@contextmanager
def attached(api: docker.APIClient, container: str, **streams: int) -> Iterator[socket.socket]:
    """Yield a socket attached to these standard streams of the container; closed at the end.

    docker-py's `attach_socket` does the same without a timeout.
    """
    response = api.request(
        "POST",
        f"{api.base_url}/v{api.api_version}/containers/{container}/attach",
        params={"stream": 1, **streams},
        headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        stream=True,
        timeout=api.timeout,
    )
    with opened(api._get_raw_response_socket(response)) as stream:  # type: ignore[attr-defined]  # not in its stubs
        stream.settimeout(None)
        yield stream


@contextmanager
def watch(api: docker.APIClient, container: str) -> Iterator["Watcher"]:
    """Yield a watcher of a container that has not been started yet."""
    with attached(api, container, stdout=1, stderr=1, logs=1) as stream:
        stream.setblocking(False)
        yield Watcher(api, container, stream)


class Watcher:
    """The log of a container so far, and whether it has ended."""

    def __init__(self, api: docker.APIClient, container: str, stream: socket.socket) -> None:
        self.api = api
        self.container = container
        self.stream = stream
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self._frames = b""
        self._text = b""

    def cause_of_death(self) -> str | None:
        """Return why the container has ended, with its last log lines, or None while it runs."""
        while (data := self._received()) is not None:
            if not data:
                code = self._exit_code()
                log = "\n".join(f"  {line}" for line in self.lines) or "  (it logged nothing)"
                cure = "\nRaise DISK_MIB, the room for its data." if "No space left on device" in log else ""
                return f"Postgres died at start: exit code {code}. Its last log lines:\n{log}{cure}"
            self._take(data)
        return None

    def _received(self) -> bytes | None:
        """Return the bytes that have arrived: None where there are none yet, no bytes at the end of the stream."""
        try:
            return self.stream.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:  # the connection broke, and with it the lease
            return b""

    def _take(self, data: bytes) -> None:
        """Add the lines of all complete frames."""
        content, self._frames = frames(self._frames + data)
        *complete, self._text = (self._text + content).split(b"\n")
        self.lines.extend(line.decode(errors="replace") for line in complete)

    def _exit_code(self) -> str:
        """Return the exit code from Docker's recent events, which outlive the container; `unknown` without one."""
        wanted = {"container": self.container, "event": "die"}
        until = int(time.time() + EVENT_SECONDS + 1)
        with closing(self.api.events(since=1, until=until, filters=wanted, decode=True)) as events:
            return next((str(event["Actor"]["Attributes"]["exitCode"]) for event in events), "unknown")
