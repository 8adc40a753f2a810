"""What the gate has to know of a driver: how it is led to the proxy, and which process serves a connection."""

import importlib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg._connection_base import BaseConnection

from pgdst.simulation.gate.proxy import PORT, Proxy


def _by_host(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    options["host"], options["port"] = str(proxy.folder), PORT


def _of_psycopg(proxy: Proxy, options: MutableMapping[str, Any]) -> None:
    _by_host(proxy, options)
    # What it has prepared by itself it would not prepare again, although the next run begins without.
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
    # It wants a password to be hashed 4,096 times; the kit's is random, hashed once, and goes to a socket of our own.
    importlib.import_module("scramp.core").IterationCount.MIN_ITERATION_COUNT = 1


@dataclass(frozen=True)
class Driver:
    """How the options of a connection are made to lead to the proxy, and which process serves a connection.

    `is_renewable`: its connections can be as new for another run. Those of a driver that asks the server for types when
    it first meets them can't: it would not ask again.
    """

    lead: Callable[[Proxy, MutableMapping[str, Any]], None]
    backend_of: Callable[[Any], int]
    is_renewable: bool = True


_PSYCOPG: Final = Driver(_of_psycopg, lambda connection: int(connection.info.backend_pid))
# By SQLAlchemy's names.
DRIVERS: Final = {
    "psycopg": _PSYCOPG,
    "psycopg_async": _PSYCOPG,
    "psycopg2": Driver(_of_psycopg2, lambda connection: int(connection.get_backend_pid())),
    "pg8000": Driver(_of_pg8000, lambda connection: int.from_bytes(connection._backend_key_data[:4])),
    "asyncpg": Driver(_by_host, lambda connection: int(connection.get_server_pid()), is_renewable=False),
}


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
