"""SQLAlchemy engines whose connections go through the proxy."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, NullPool, QueuePool, event

from pgdst.errors import ConfigurationError, ForeignServerError
from pgdst.server.guard import Place
from pgdst.simulation.clients.client import AbandonedError, Client, current_client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.renewal import Idle, is_prepared
from pgdst.simulation.gate.session import Session
from pgdst.simulation.sqlalchemy import pool

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # needs greenlet, which only its users have


def synchronous_side(engine: Any) -> Engine:
    """Return the engine that has the pool. Raises: ConfigurationError, where it can't be used."""
    found = engine
    while hasattr(found, "_proxied"):  # an asynchronous engine, or one with execution options of its own
        found = found._proxied
    if not isinstance(found, Engine):
        raise ConfigurationError(
            f"attach() needs an engine of SQLAlchemy's or a pool of asyncpg's or psycopg_pool's, got "
            f"{type(engine).__name__}. What is neither comes to the gate by simulation.url()."
        )
    if found.dialect.name != "postgresql" or found.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"The engine uses {found.dialect.name}+{found.dialect.driver}, which has no gate. "
            f"Make it with postgresql+ and one of {', '.join(DRIVERS)}."
        )
    if not isinstance(found.pool, QueuePool | NullPool):
        raise ConfigurationError(
            f"The engine's pool is a {type(found.pool).__name__}, whose connections clients would share or find in one "
            "run and not in the next. Make it with the usual pool, or with NullPool."
        )
    return found


def require_ours(what: str, proxy: Proxy, host: Any, port: Any) -> None:
    """Return only where something leads to the server of the run. Raises: ForeignServerError."""
    server = proxy.server
    if not host or not Place(str(host), int(port or 5432)).is_same(Place(server.host, server.port)):
        raise ForeignServerError(
            f"The {what} leads to {host}:{port}, and the run's server is at {server.host}:{server.port}. "
            "Make it from the URL of a database that pgdst lends."
        )


def user(refuse_others: Callable[[], None]) -> Client | None:
    """Return the client who calls this, None between runs. Raises: AbandonedError; what `refuse_others` raises."""
    client = current_client()
    if client is None:
        refuse_others()
    elif client.is_abandoned:
        raise AbandonedError
    return client


class AttachedEngine:
    """An engine that is led to the proxy, from its next connection on; those that are open are closed.

    Whose a connection is, the pool says: it is lent to whoever took it out, and to nobody else until it is back.

    Raises: ConfigurationError, where its connections can't have a gate; ForeignServerError, where it leads elsewhere.
    """

    def __init__(
        self,
        engine: "Engine | AsyncEngine",
        proxy: Proxy,
        clock: SimulatedClock,
        refuse_others: Callable[[], None],
        in_a_loop: pool.InALoop,
    ) -> None:
        self._engine = engine
        self._synchronous = synchronous_side(engine)
        self._driver = DRIVERS[self._synchronous.dialect.driver]
        self._proxy = proxy
        self._refuse_others = refuse_others
        self._in_a_loop = in_a_loop
        self._listeners: int | None = None  # how many there were when it was looked what they do
        self._is_prepared = False
        self._last_has_a_gate = False
        self._recycle = self._synchronous.pool._recycle
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()  # by the pool's records
        self._resources = ExitStack()
        self._require_ours()
        pool.dispose(self._engine, self._in_a_loop)
        self._listen(clock)
        try:
            self._require_gates()
        except BaseException:
            self.close()
            raise

    def _listen(self, clock: SimulatedClock) -> None:
        listeners: dict[str, Callable[..., Any]] = {
            "do_connect": self._connects,
            "connect": self._connected,
            "checkout": self._lends,
            "checkin": self._takes_back,
            "detach": self._takes_back,
            # A client may dispose of the engine, which has another pool then.
            "engine_disposed": lambda one: pool.own_waits(one, clock),
        }
        for name, function in listeners.items():
            event.listen(self._synchronous, name, function)
            self._resources.callback(event.remove, self._synchronous, name, function)

    def _require_gates(self) -> None:
        """Return only where a new connection has a gate: some drivers tell nothing of one that is closed.

        Raises: ConfigurationError.
        """
        pool.warm_up(self._engine, self._in_a_loop)
        if not self._last_has_a_gate:
            raise ConfigurationError(
                "The engine makes its connections itself, by a `creator`, so they have no gate. Make it from a URL."
            )

    def _require_ours(self) -> None:
        """Return only where the engine's URL leads to the server of the run. Raises: ForeignServerError."""
        _, options = self._synchronous.dialect.create_connect_args(self._synchronous.url)
        host, port = options.get("host"), options.get("port")
        host = host[0] if isinstance(host, list) else host
        port = port[0] if isinstance(port, list) else port
        require_ours("engine", self._proxy, host, port)

    # What SQLAlchemy tells.

    def _user(self) -> Client | None:
        """Return the client who uses the engine, None between runs. Raises: AbandonedError; InconclusiveError."""
        return user(self._refuse_others)

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

    # Between runs.

    @property
    def has_pool(self) -> bool:
        """Return whether the engine keeps connections."""
        return pool.has_pool(self._engine)

    def idle(self) -> list[Idle]:
        """Return the sessions that nobody uses, as the pool has them."""
        if not self.has_pool:
            return []
        records = [one for one in pool.records(self._engine) if one.dbapi_connection is not None]
        return [
            Idle(session, record.info, record.driver_connection)
            for record in records
            if (session := self._sessions.get(record)) is not None
        ]

    def is_whole(self, connections: int) -> bool:
        """Return whether the pool has so many idle connections, which may be used again."""
        is_renewable = self._driver.is_renewable and not self._is_prepared
        return is_renewable and pool.is_whole(self._engine, connections)

    def fill(self, connections: int) -> None:
        """Open so many connections anew."""
        self.dispose()
        if self._listeners != pool.listeners(self._engine):
            self._listeners = pool.listeners(self._engine)
            pool.fill(self._engine, 1, self._in_a_loop)
            with self._proxy.quiet():
                self._is_prepared = is_prepared(self.idle()[0].session)
            self.dispose()
        pool.fill(self._engine, connections, self._in_a_loop)

    def sort(self, places: Mapping[int, int]) -> None:
        """Let connections be handed out in the order of the places of their processes."""
        pool.sort(self._engine, lambda record: places[self._sessions[record].pid])

    def dispose(self) -> None:
        """Close all connections that nobody uses; new ones have a gate."""
        pool.dispose(self._engine, self._in_a_loop)

    def close(self) -> None:
        """Close all connections that nobody uses; new ones have none."""
        self._resources.close()
        self._synchronous.pool._recycle = self._recycle
        pool.dispose(self._engine, self._in_a_loop)
