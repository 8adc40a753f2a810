"""How a container's server is reached: on a port that Docker publishes, or in this machine's own network.

A network of its own costs a container a third of its start and most of its removal, and a published port on loopback
has every byte copied by Docker's proxy. So where the daemon runs on this very machine, its containers share the
machine's network, and Postgres listens on loopback itself. Elsewhere (a remote or rootless daemon, Docker Desktop,
Colima, a container that was given the daemon's socket) the published port is the only way in that always works.
"""

import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pgdst.server.docker.endpoint import Endpoint

LOOPBACK = "127.0.0.1"
APART = ("name=rootless", "name=userns")  # daemons whose host network is not ours, or which refuse it


def is_shared(endpoint: Endpoint, info: Mapping[str, Any]) -> bool:
    """Tell whether a container in the daemon's network is in ours, by what the daemon says of itself.

    A virtual machine has another name and kernel, a container another name. PUBLISHED_HOST asks for a published port.
    """
    return (
        sys.platform == "linux"
        and endpoint.url.startswith("unix:")
        and not os.environ.get("PGDST_PUBLISHED_HOST")
        and info.get("Name") == socket.gethostname()
        and info.get("KernelVersion") == platform.release()
        and not any(option.startswith(APART) for option in info.get("SecurityOptions") or ())
    )


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a free port of loopback: Postgres may listen there, and nobody else is given it during the block.

    Linux lets two sockets bind the same address if both have SO_REUSEADDR, as Postgres's has, and only one listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])
