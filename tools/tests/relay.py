"""Something between a client and the Docker daemon that can be cut, or fall silent at a request."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

DAEMON = "/var/run/docker.sock"


class Relay:
    """Passes on what comes on connections to a listener, until it is told otherwise."""

    def __init__(self, listener: socket.socket, silent_at: str | None = None) -> None:
        self._listener = listener
        self._silent_at = re.compile(silent_at.encode()) if silent_at else None
        self._is_silent = False
        self._sockets = [listener]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def cut(self) -> None:
        """End all connections, and take no more."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _run(self, function: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(socket.AF_UNIX)
                self._sockets += [here, there]
                there.connect(DAEMON)
                self._run(self._pump, here, there)
                self._run(self._pump, there, here)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._is_silent |= bool(self._silent_at and self._silent_at.search(data))
                if not self._is_silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(listener: socket.socket, silent_at: str | None = None) -> Iterator[Relay]:
    """Yield a relay to the daemon; it falls silent when what passes matches `silent_at`."""
    made = Relay(listener, silent_at)
    try:
        yield made
    finally:
        made.cut()
