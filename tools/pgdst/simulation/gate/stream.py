"""One side of a session: its socket, what has arrived there, and what is still to be sent. It never blocks."""

import socket
from collections.abc import Callable
from typing import Final, Protocol

from pgdst.errors import InconclusiveError
from pgdst.simulation.gate.protocol import Messages

CHUNK: Final = 262_144
LAST_WORDS_SECONDS: Final = 10


class Relay(Protocol):
    """What tells when a socket is ready."""

    def watch(self, source: socket.socket, read: Callable[[], None]) -> None:
        """Call `read` when there is something to be read."""

    def watch_to_write(self, target: socket.socket, write: Callable[[], None]) -> None:
        """Call `write` once when something can be written."""

    def forget(self, source: socket.socket) -> None:
        """Watch it no more."""


class Stream:
    """A socket that a relay watches; `heard` is called when something has arrived, or the other side has hung up."""

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
        """Send as much as the other side takes, and the rest when it takes more."""
        self._unsent += raw
        self._flush()

    def _flush(self) -> None:
        if not sent(self._socket, self._unsent):
            self._relay.watch_to_write(self._socket, self._flush)

    def take_the_rest(self, *, unheard: bool) -> None:
        """Return when the other side has hung up, with all that it has said; or without it, where it is `unheard`.

        Raises: InconclusiveError, where it does not.
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
        """Be watched again, after `ask`."""
        self._socket.setblocking(False)


def received(source: socket.socket) -> bytes | None:
    """Return what has arrived, nothing at the end, or None where there is nothing yet."""
    try:
        return source.recv(CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def sent(target: socket.socket, data: bytearray) -> bool:
    """Send as much as the other side takes, and take it off; return whether nothing is left. Nobody may hear it."""
    try:
        while data:
            del data[: target.send(data)]
    except BlockingIOError:
        return False
    except OSError:
        data.clear()
    return True
