"""SQLAlchemy engines whose connections go through the proxy."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, NullPool, Pool, QueuePool, event

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
    """Return the synchronous engine behind an engine. Raises: ConfigurationError, if it can't be attached."""
    found = engine
    while hasattr(found, "_proxied"):  # an asynchronous engine, or one with execution options of its own
        found = found._proxied
    if not isinstance(found, Engine):
        raise ConfigurationError(
            f"attach() needs an engine of SQLAlchemy's or a pool of asyncpg's or psycopg_pool's, got "
            f"{type(engine).__name__}. Let any other driver or pool connect to simulation.url()."
        )
    if found.dialect.name != "postgresql" or found.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"The engine uses {found.dialect.name}+{found.dialect.driver}, which has no gate. "
            f"Make it with postgresql+ and one of {', '.join(DRIVERS)}."
        )
    if not isinstance(found.pool, QueuePool | NullPool):
        raise ConfigurationError(
            f"The engine's pool is a {type(found.pool).__name__}: clients would share its connections, or find "
            "them in one run and not in the next. Make the engine with the default pool, or with NullPool."
        )
    return found


def require_ours(what: str, proxy: Proxy, host: Any, port: Any) -> None:
    """Check that an engine or a pool connects to the run's server. Raises: ForeignServerError."""
    server = proxy.server
    if not host or not Place(str(host), int(port or 5432)).is_same(Place(server.host, server.port)):
        raise ForeignServerError(
            f"The {what} leads to {host}:{port}, and the run's server is at {server.host}:{server.port}. "
            "Make it from the URL of a database that pgdst lends."
        )


def user(refuse_others: Callable[[], None]) -> Client | None:
    """Return the client that calls this, None between runs. Raises: AbandonedError; that of `refuse_others`."""
    client = current_client()
    if client is None:
        refuse_others()
    elif client.is_abandoned:
        raise AbandonedError
    return client


class AttachedEngine:
    """An engine whose new connections go to the proxy. Open connections are closed.

    A connection belongs to the client that took it out of the pool, until it is put back.

    Raises: ConfigurationError, if its connections can't go through the gate; ForeignServerError, if its URL leads to
    another server.
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
        self._listeners: int | None = None  # their number when `_is_prepared` was found
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
        has_events = self._synchronous._has_events
        listeners: dict[str, Callable[..., Any]] = {
            "do_connect": self._connects,
            "connect": self._connected,
            "checkout": self._lends,
            "checkin": self._takes_back,
            "detach": self._takes_back,
            # If a client disposes of the engine, it gets another pool.
            "engine_disposed": lambda one: pool.own_waits(one, clock),
        }
        for name, function in listeners.items():
            event.listen(self._synchronous, name, function)
            self._resources.callback(event.remove, self._synchronous, name, function)
        # None of these is an event of statements. If this is set, SQLAlchemy looks for listeners at each of them.
        self._synchronous._has_events = has_events

    def _require_gates(self) -> None:
        """Check that a new connection goes through the gate. Raises: ConfigurationError, if it does not."""
        pool.warm_up(self._engine, self._in_a_loop)
        if not self._last_has_a_gate:
            raise ConfigurationError(
                "The engine makes its connections itself, by a `creator`, so they have no gate. Make it from a URL."
            )

    def _require_ours(self) -> None:
        """Check that the engine's URL leads to the run's server. Raises: ForeignServerError."""
        _, options = self._synchronous.dialect.create_connect_args(self._synchronous.url)
        host, port = options.get("host"), options.get("port")
        host = host[0] if isinstance(host, list) else host
        port = port[0] if isinstance(port, list) else port
        require_ours("engine", self._proxy, host, port)

    # Event listeners.

    def _user(self) -> Client | None:
        """Return the client that uses the engine, None between runs. Raises: AbandonedError; InconclusiveError."""
        return user(self._refuse_others)

    def _connects(self, _dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        self._user()
        self._driver.lead(self._proxy, options)

    def _connected(self, _connection: Any, record: Any) -> None:
        """Find the session of a new connection now: the driver of a closed one does not tell the pid any more."""
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

    def owns(self, pool: Pool) -> bool:
        """Return whether this is the engine's pool."""
        return self._synchronous.pool is pool

    def idle(self) -> list[Idle]:
        """Return the idle connections, in the order of the pool."""
        if not self.has_pool:
            return []
        records = [one for one in pool.records(self._engine) if one.dbapi_connection is not None]
        return [
            Idle(session, record.info, record.driver_connection)
            for record in records
            if (session := self._sessions.get(record)) is not None
        ]

    def is_whole(self, connections: int) -> bool:
        """Return whether the pool has so many idle connections, and all can be renewed."""
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
        """Make the pool hand out connections in the order of `places`, by the pids of their server processes."""
        pool.sort(self._engine, lambda record: places[self._sessions[record].pid])

    def dispose(self) -> None:
        """Close all idle connections; new ones go through the gate."""
        pool.dispose(self._engine, self._in_a_loop)

    def close(self) -> None:
        """Close all idle connections; new ones do not go through the gate."""
        self._resources.close()
        self._synchronous.pool._recycle = self._recycle
        pool.dispose(self._engine, self._in_a_loop)
