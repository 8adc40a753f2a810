"""Drivers: how each is made to connect to the proxy, and how to find a connection's server process."""

import importlib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg._connection_base import BaseConnection

from pgdst.server.guard import Place
from pgdst.simulation.gate.proxy import PORT, Proxy


def _by_host(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    options["host"], options["port"] = str(proxy.folder), PORT


def _of_psycopg(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    _by_host(proxy, options)
    # psycopg remembers statements that it has prepared by itself, but a run's renewal of the session drops them.
    options["prepare_threshold"] = None


def _of_psycopg2(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    _by_host(proxy, options)
    extensions = importlib.import_module("psycopg2.extensions")
    factory: Any = options.get("connection_factory") or extensions.connection

    def cancel(connection: Any) -> None:
        if not proxy.cancel(connection.get_backend_pid()):
            factory.cancel(connection)

    options["connection_factory"] = type("Connection", (factory,), {"cancel": cancel})


def _of_pg8000(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    options.pop("host", None)
    options.pop("port", None)
    options["unix_sock"] = str(proxy.folder / f".s.PGSQL.{PORT}")
    # scramp requires 4,096 iterations. The kit's password is random, hashed once, and goes to the kit's own socket.
    importlib.import_module("scramp.core").IterationCount.MIN_ITERATION_COUNT = 1


@dataclass(frozen=True)
class Driver:
    """How a driver is made to connect to the proxy, and how to find a connection's server and its process' pid.

    `is_renewable`: a connection can be renewed for another run. It can't if the driver asks the server for a type at
    its first use: the driver would not ask again in the next run.
    """

    lead: Callable[[Proxy, MutableMapping[str, Any]], None]
    backend_of: Callable[[Any], int]
    place_of: Callable[[Any], Place]
    is_renewable: bool = True


def _by_libpq(connection: Any) -> Place:
    return Place(str(connection.info.host), int(connection.info.port))


def _by_address(address: Any) -> Place:
    """Return the place of an address in the socket module's form: a path, or a host, a port and so on."""
    if isinstance(address, str):
        directory, _, port = address.rpartition("/.s.PGSQL.")
        return Place(directory, int(port))
    return Place(str(address[0]), int(address[1]))


_PSYCOPG: Final = Driver(_of_psycopg, lambda connection: int(connection.info.backend_pid), _by_libpq)
# By SQLAlchemy's names.
DRIVERS: Final = {
    "psycopg": _PSYCOPG,
    "psycopg_async": _PSYCOPG,
    "psycopg2": Driver(_of_psycopg2, lambda connection: int(connection.get_backend_pid()), _by_libpq),
    "pg8000": Driver(
        _of_pg8000,
        lambda connection: int.from_bytes(connection._backend_key_data[:4]),
        lambda connection: _by_address(connection._usock.getpeername()),
    ),
    "asyncpg": Driver(
        _by_host,
        lambda connection: int(connection.get_server_pid()),
        lambda connection: _by_address(connection._addr),
        is_renewable=False,
    ),
}


@contextmanager
def cancelling_without_the_lock(proxy: Proxy) -> Iterator[None]:
    """Make psycopg cancel statements, in this block, without holding the GIL while it waits.

    libpq's PQcancel waits until its connection ends, and psycopg and psycopg2 hold the GIL meanwhile. The proxy, a
    thread of this process, could then never answer.
    """
    original = BaseConnection.cancel

    def cancel(connection: Any) -> None:
        if connection.closed or not proxy.cancel(connection.info.backend_pid):
            original(connection)

    found: Any = BaseConnection  # there is no setting for it
    found.cancel = cancel
    try:
        yield
    finally:
        found.cancel = original
