"""One side of a session: a non-blocking socket with its input and output buffers."""

import socket
from collections.abc import Callable
from typing import Final, Protocol

from pgdst.errors import InconclusiveError
from pgdst.simulation.gate.protocol import Messages

CHUNK: Final = 262_144
LAST_WORDS_SECONDS: Final = 10


class Relay(Protocol):
    """Watches sockets and calls back when they are ready."""

    def watch(self, source: socket.socket, read: Callable[[], None]) -> None:
        """Call `read` whenever `source` is readable."""

    def watch_to_write(self, target: socket.socket, write: Callable[[], None]) -> None:
        """Call `write` once, when `target` is writable."""

    def forget(self, source: socket.socket) -> None:
        """Stop watching a socket."""


class Stream:
    """A socket that a relay watches. It calls `heard` when data has arrived or the other side has hung up."""

    def __init__(self, relay: Relay, connected: socket.socket, heard: Callable[[], None]) -> None:
        self.arrived = Messages()
        self.has_hung_up = False
        self._relay = relay
        self._socket = connected
        self._heard = heard
        self._unsent = bytearray()
        connected.setblocking(False)
        relay.watch(connected, self._read)

    def _read(self) -> None:
        data = received(self._socket)
        if data is None:
            return
        self.has_hung_up = not data
        self.arrived.feed(data)
        if self.has_hung_up:
            self._relay.forget(self._socket)
        self._heard()

    def send(self, raw: bytes) -> None:
        """Send as much as the socket accepts now, and the rest later."""
        self._unsent += raw
        self._flush()

    def _flush(self) -> None:
        if not sent(self._socket, self._unsent):
            self._relay.watch_to_write(self._socket, self._flush)

    def take_the_rest(self, *, unheard: bool) -> None:
        """Read until the other side has hung up. With `unheard`, discard the data.

        Raises: InconclusiveError, if it does not hang up.
        """
        try:
            self._socket.settimeout(LAST_WORDS_SECONDS)
            while data := self._socket.recv(CHUNK):
                if not unheard:
                    self.arrived.feed(data)
        except TimeoutError:
            raise InconclusiveError("The server ended a session, but its connection did not end.") from None
        except OSError:
            pass  # it is broken, which is an end as well

    def close(self) -> None:
        """Close the socket. It may be closed already."""
        self._relay.forget(self._socket)
        self._socket.close()

    # Between runs, while nobody relays.

    def ask(self, raw: bytes) -> None:
        """Send all of it. Raises: OSError."""
        self._socket.settimeout(LAST_WORDS_SECONDS)
        self._socket.sendall(raw)

    def wait_for_more(self) -> None:
        """Return when something has arrived. Raises: OSError."""
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError("the session has ended")
        self.arrived.feed(data)

    def block_no_more(self) -> None:
        """Let the relay watch the socket again, after `ask`."""
        self._socket.setblocking(False)


def received(source: socket.socket) -> bytes | None:
    """Return the data that has arrived, b"" at the end of the stream, or None if there is none yet."""
    try:
        return source.recv(CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def sent(target: socket.socket, data: bytearray) -> bool:
    """Send as much as the socket accepts, and remove it from `data`; return whether nothing is left.

    A connection that is broken counts as having accepted everything.
    """
    try:
        while data:
            del data[: target.send(data)]
    except BlockingIOError:
        return False
    except OSError:
        data.clear()
    return True
