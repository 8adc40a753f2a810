"""Engines on psycopg whose connections are a subclass of its own, with a gate."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg.pq.abc import PGconn
from sqlalchemy import Engine

from pgdst.errors import ForeignServerError
from pgdst.simulation import pool
from pgdst.simulation.attached import Attached
from pgdst.simulation.backends import Backends
from pgdst.simulation.client import current_client
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.connection import Connections, Gated, GatedAsyncConnection, GatedConnection
from pgdst.simulation.parking import SETTING, Parking, parking_of
from pgdst.simulation.renewal import Idle, is_prepared

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class GatedEngine(Attached):
    """An engine that makes connections with a gate of their own."""

    def __init__(
        self,
        engine: "Engine | AsyncEngine",
        backends: Backends,
        sessions: Connections,
        clock: SimulatedClock,
        refuse_others: Callable[[], None],
    ) -> None:
        super().__init__(engine, refuse_others)
        self.parking: Parking | None = None
        self._backends = backends
        self._sessions = sessions
        connect = self._connect_async if self._synchronous.dialect.is_async else self._connect
        self._give_gates(clock, {"do_connect": connect})

    def _has_gate(self, connection: object) -> bool:
        return isinstance(connection, Gated)

    def park(self, others: Mapping[str, Parking]) -> None:
        """Have places in its database where statements can be stopped: those of another engine on it, or new ones."""
        database = self._synchronous.url.database or ""
        self.parking = others.get(database)
        if self.parking is None:
            server = self._backends.server.with_database(database)
            self.parking = self._resources.enter_context(parking_of(server, self._backends))

    def idle(self) -> list[Idle]:
        """Return the connections that nobody uses."""
        return pool.idle(self.engine) if self.has_pool else []

    def sort(self, places: Mapping[int, int]) -> None:
        """Let connections be handed out in the order of the places of their processes."""
        pool.sort(self.engine, lambda record: places[record.driver_connection.standing.backend])

    def _look_whether_prepared(self) -> bool:
        return is_prepared(self.idle()[0].connection)

    def dispose(self) -> None:
        """Close all connections that nobody uses, and return when their sessions have ended; new ones have a gate."""
        super().dispose()
        for backend in self._sessions.take_closed():
            self._backends.require_gone(backend, "whose connection was closed")

    def _connect(self, _dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> GatedConnection:
        options = dict(options)  # the engine's own, for all connections
        place = self._place(options)
        connection = GatedConnection.connect(*arguments, **options)
        self._accept(connection, place)
        return connection

    def _connect_async(self, _dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        async def create(*arguments: Any, **options: Any) -> GatedAsyncConnection:
            place = self._place(options)
            connection = await GatedAsyncConnection.connect(*arguments, **options)
            self._accept(connection, place)
            return connection

        options["async_creator_fn"] = create

    def _place(self, options: dict[str, Any]) -> int | None:
        """Add to the options of a new connection what a simulation wants of it."""
        # A prepared statement is planned by how often its connection has run it, which is no part of the seed.
        options["prepare_threshold"] = None
        if self.parking is None:
            return None
        place = self.parking.new_place()
        options["options"] = f"{options.get('options') or ''} -c {SETTING}={place}".strip()
        return place

    def _accept(self, connection: Gated, place: int | None) -> None:
        self._require_ours(connection.pgconn)
        self._sessions.add(connection)
        connection.refuse_others = self._refuse_others
        if self.parking is not None and place is not None:
            self.parking.assign(place, connection.standing.backend)
        if (client := current_client()) is not None:
            client.opened(connection)

    def _require_ours(self, pgconn: PGconn) -> None:
        result = pgconn.exec_(b"SELECT current_setting('pgdst.run_id', true)")
        found = (result.get_value(0, 0) or b"").decode() if result.ntuples else ""
        expected = self._backends.server.run_id
        if found != expected:
            pgconn.finish()
            raise ForeignServerError(
                f"The engine leads to a server that answers with run id {found or 'none'}, expected {expected}. "
                "Make it from the URL of a database that pgdst lends."
            )
