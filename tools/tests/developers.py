"""What listens where the developer's own database does, and counts who comes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Developers:
    """The developer's own database on 127.0.0.1, and whom it has met."""

    port: int
    met: list[object] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Developers]:
    """Have one, for the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Developers(listener.getsockname()[1])
        thread = threading.Thread(target=_meet, args=(listener, found.met))
        thread.start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _meet(listener: socket.socket, met: list[object]) -> None:
    try:
        while True:
            visitor, address = listener.accept()
            met.append(address)
            visitor.close()
    except OSError:
        return
