"""SQLAlchemy engines whose connections go through the proxy."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from pgdst.errors import ForeignServerError
from pgdst.server.guard import Place
from pgdst.simulation import pool
from pgdst.simulation.attached import Attached
from pgdst.simulation.client import AbandonedError, Client, current_client
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.session import Session
from pgdst.simulation.renewal import Idle, is_prepared

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class AttachedEngine(Attached):
    """An engine that is led to the proxy, from its next connection on.

    Whose a connection is, the pool says: it is lent to whoever took it out, and to nobody else until it is back.
    """

    def __init__(
        self,
        engine: "Engine | AsyncEngine",
        proxy: Proxy,
        clock: SimulatedClock,
        refuse_others: Callable[[], None],
        in_a_loop: pool.InALoop,
    ) -> None:
        super().__init__(engine, refuse_others, in_a_loop)
        self._driver = DRIVERS[self._synchronous.dialect.driver]
        self._proxy = proxy
        self._last_has_a_gate = False
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()  # by the pool's records
        self._require_ours()
        self._give_gates(
            clock,
            {
                "do_connect": self._connects,
                "connect": self._connected,
                "checkout": self._lends,
                "checkin": self._takes_back,
                "detach": self._takes_back,
            },
        )

    def _has_gate(self, _connection: object) -> bool:
        """Tell what was seen when it was made: some drivers tell nothing of a connection that is closed."""
        return self._last_has_a_gate

    def _require_ours(self) -> None:
        """Return only where the engine's URL leads to the server of the run. Raises: ForeignServerError."""
        _, options = self._synchronous.dialect.create_connect_args(self._synchronous.url)
        host, port = options.get("host"), options.get("port")
        host = host[0] if isinstance(host, list) else host
        port = port[0] if isinstance(port, list) else port
        server = self._proxy.server
        if not host or not Place(str(host), int(port or 5432)).is_same(Place(server.host, server.port)):
            raise ForeignServerError(
                f"The engine leads to {host}:{port}, and the run's server is at {server.host}:{server.port}. "
                "Make it from the URL of a database that pgdst lends."
            )

    def _user(self) -> Client | None:
        """Return the client who uses the engine, None between runs. Raises: AbandonedError; InconclusiveError."""
        client = current_client()
        if client is None:
            self._refuse_others()
        elif client.is_abandoned:
            raise AbandonedError
        return client

    def _connects(self, _dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        self._user()
        self._driver.lead(self._proxy, options)

    def _connected(self, _connection: Any, record: Any) -> None:
        """Find the session of a new connection, while its driver still tells which process serves it."""
        session = self._proxy.session_of(self._driver.backend_of(record.driver_connection))
        self._last_has_a_gate = session is not None
        if session is not None:
            self._sessions[record] = session

    def _lends(self, _connection: Any, record: Any, _fairy: Any) -> None:
        client = self._user()
        if (session := self._sessions.get(record)) is not None:
            loop = asyncio.get_running_loop() if self._synchronous.dialect.is_async else None
            session.lend(client, loop)

    def _takes_back(self, _connection: Any, record: Any) -> None:
        if (session := self._sessions.get(record)) is not None:
            session.lend(None)

    def idle(self) -> list[Idle]:
        """Return the sessions that nobody uses, as the pool has them."""
        if not self.has_pool:
            return []
        records = [one for one in pool.records(self.engine) if one.dbapi_connection is not None]
        return [
            Idle(session, record.info, record.driver_connection)
            for record in records
            if (session := self._sessions.get(record)) is not None
        ]

    def is_whole(self, connections: int) -> bool:
        """Return whether the pool has so many idle connections, which may be used again."""
        return self._driver.is_renewable and super().is_whole(connections)

    def _look_whether_prepared(self) -> bool:
        with self._proxy.quiet():
            return is_prepared(self.idle()[0].connection)

    def sort(self, places: Mapping[int, int]) -> None:
        """Let connections be handed out in the order of the places of their processes."""
        pool.sort(self.engine, lambda record: places[self._sessions[record].backend])
