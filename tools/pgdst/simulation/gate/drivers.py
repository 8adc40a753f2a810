"""What the gate has to know of a driver: how it is led to the proxy, and which process serves a connection."""

import importlib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from psycopg._connection_base import BaseConnection

from pgdst.errors import ConfigurationError
from pgdst.simulation.gate.proxy import PORT, Proxy


def _by_host(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    options["host"], options["port"] = str(proxy.folder), PORT


def _of_psycopg2(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    _by_host(proxy, options)
    extensions = importlib.import_module("psycopg2.extensions")
    factory: Any = options.get("connection_factory") or extensions.connection

    def cancel(connection: Any) -> None:
        if not proxy.cancel(connection.get_backend_pid()):
            factory.cancel(connection)

    options["connection_factory"] = type("Connection", (factory,), {"cancel": cancel})


# By SQLAlchemy's names of drivers: how the options of a connection are made to lead to the proxy, and the process.
_Lead = Callable[[Proxy, MutableMapping[str, Any]], None]
_DRIVERS: Final[dict[str, tuple[_Lead, Callable[[Any], int]]]] = {
    "psycopg": (_by_host, lambda connection: int(connection.info.backend_pid)),
    "psycopg_async": (_by_host, lambda connection: int(connection.info.backend_pid)),
    "psycopg2": (_of_psycopg2, lambda connection: int(connection.get_backend_pid())),
    "asyncpg": (_by_host, lambda connection: int(connection.get_server_pid())),
}
KNOWN: Final = tuple(_DRIVERS)


def lead(driver: str, proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    """Let the options of a new connection lead to the proxy. Raises: ConfigurationError."""
    _known(driver)[0](proxy, options)


def backend_of(driver: str, connection: Any) -> int:
    """Return the process that serves a connection of the driver's. Raises: ConfigurationError."""
    return _known(driver)[1](connection)


@contextmanager
def cancelling_without_the_lock(proxy: Proxy) -> Iterator[None]:
    """Let psycopg cancel a statement, in this block, without holding the interpreter's lock while it waits.

    libpq's PQcancel waits for the end of its connection, and psycopg and psycopg2 hold the lock meanwhile: the proxy, a
    thread of this process, could never answer.
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


def _known(driver: str) -> tuple[_Lead, Callable[[Any], int]]:
    try:
        return _DRIVERS[driver]
    except KeyError:
        raise ConfigurationError(
            f"The engine uses the driver {driver}, which is not known here. Known are {', '.join(KNOWN)}."
        ) from None
