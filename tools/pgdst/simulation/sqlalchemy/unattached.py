"""Connections that a client of a run uses, and that do not go through the gate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Pool, event

from pgdst.server.guard import GUARD, Place
from pgdst.simulation.clients.client import AbandonedError, Client, current_client
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy


@contextmanager
def refused(proxy: Proxy, is_attached: Callable[[Pool], bool], refuse: Callable[[Client], object]) -> Iterator[None]:
    """Call `refuse` in this block with each client that goes to the proxy's server past the gate.

    It does so if it makes a connection, by whatever driver the guard knows, or takes an open one out of the pool of an
    engine that is not attached.
    """
    server = Place(proxy.server.host, proxy.server.port)

    def made() -> None:
        if (client := current_client()) is not None:
            _refuse(client, refuse)

    def taken(_connection: Any, record: Any, fairy: Any) -> None:
        client, pool = current_client(), fairy._pool
        if client is None or is_attached(pool):
            return
        if _is_past(pool._dialect.driver, record.driver_connection, proxy, server):
            _refuse(client, refuse)

    event.listen(Pool, "checkout", taken)
    try:
        with GUARD.watching(server, made):
            yield
    finally:
        event.remove(Pool, "checkout", taken)


def _refuse(client: Client, refuse: Callable[[Client], object]) -> None:
    if client.is_abandoned:
        raise AbandonedError
    refuse(client)


def _is_past(driver: str, connection: Any, proxy: Proxy, server: Place) -> bool:
    if (known := DRIVERS.get(driver)) is None:
        return False
    return proxy.session_of(known.backend_of(connection)) is None and known.place_of(connection).is_same(server)
