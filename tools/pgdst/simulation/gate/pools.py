"""The pools of asyncpg and of psycopg_pool: whose a connection is, and who waits for one, belongs to the schedule.

Neither has settings for what a run needs, so names that they keep to themselves are used here; tests pin them.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from pgdst.errors import ConfigurationError
from pgdst.simulation.client import CHECKOUT, AbandonedError, AtGate, Client, Pause, Waiting, current_client
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.gate.attached import require_ours
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.renewal import Idle

_WHAT: Final = "waits for a connection of the pool"
_SECONDS: Final = 30.0  # in which the loop of a pool does what it is asked


def kind_of(found: object) -> "type[AttachedPool] | None":
    """Return how a pool is attached, None where it is none that is known."""
    kinds = {"asyncpg.pool": AsyncpgPool, "psycopg_pool.pool": PsycopgPool, "psycopg_pool.pool_async": AsyncPsycopgPool}
    modules = (kind.__module__ for kind in type(found).__mro__)
    return next((kinds[module] for module in modules if module in kinds), None)


class AttachedPool:
    """A pool that is led to the proxy. Its connections are opened anew for each run.

    Raises: ForeignServerError, where it leads elsewhere; ConfigurationError, where its event loop does not run.
    """

    driver: str
    has_pool: Final = True

    def __init__(self, pool: Any, proxy: Proxy, clock: SimulatedClock, refuse_others: Callable[[], None]) -> None:
        self._pool = pool
        self._proxy = proxy
        self._driver = DRIVERS[self.driver]
        self._clock = clock
        self._refuse_others = refuse_others
        self._before = self._options()
        place = self._place()
        require_ours("pool", proxy, place.get("host"), place.get("port"))
        options = dict(self._before)
        self._driver.lead(proxy, options)
        self._lead(options)
        self._own()
        self.dispose()

    # What pools have, each by another name.

    def _options(self) -> dict[str, Any]:
        """Return what connections are made with, beside a URL."""
        raise NotImplementedError

    def _url(self) -> str:
        """Return the URL, or what else is like it."""
        raise NotImplementedError

    def _lead(self, options: dict[str, Any]) -> None:
        """Have connections made with these options from now on."""
        raise NotImplementedError

    def _own(self) -> None:
        """Have the pool say whose a connection is, and wait in the schedule."""
        raise NotImplementedError

    def _disown(self) -> None:
        """Give it back what was its own."""
        raise NotImplementedError

    def _connections(self) -> list[Any]:
        """Return those that nobody uses, in the order in which they are handed out."""
        raise NotImplementedError

    def dispose(self) -> None:
        """Close those that nobody uses."""
        raise NotImplementedError

    def fill(self, connections: int) -> None:
        """Open so many anew, or as many as it keeps."""
        raise NotImplementedError

    def _arrange(self, connections: list[Any]) -> None:
        """Let them be handed out in this order."""
        raise NotImplementedError

    # What they have in common.

    @property
    def database(self) -> str:
        """The database that its connections are in."""
        place = self._place()
        return str(place.get("database") or place.get("dbname") or place.get("user", ""))

    def _place(self) -> dict[str, Any]:
        """Return host, port and database, as far as they are said."""
        found = {**conninfo_to_dict(self._url()), **self._before}
        return {name: value for name, value in found.items() if value is not None}

    def _user(self) -> Client | None:
        """Return the client who uses the pool, None between runs. Raises: AbandonedError; InconclusiveError."""
        client = current_client()
        if client is None:
            self._refuse_others()
        elif client.is_abandoned:
            raise AbandonedError
        return client

    def _lend(self, connection: Any, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note who has a connection now."""
        if (session := self._proxy.session_of(self._driver.backend_of(connection))) is not None:
            session.lend(client, loop)

    def _pauses(self, is_free: Callable[[], bool], timeout_seconds: float | None) -> Iterator[Pause]:
        """Yield where a client stops until it can have a connection. Raises: TimeoutError, by the simulated clock."""
        yield AtGate(CHECKOUT)
        now = self._clock.elapsed()
        until = None if timeout_seconds is None else now + timedelta(seconds=timeout_seconds)
        while not is_free():
            yield Waiting(_WHAT, is_free, self._clock, until, is_sleep=False)
            if not is_free():
                raise TimeoutError

    def idle(self) -> list[Idle]:
        """Return the sessions that nobody uses."""
        found = [(self._proxy.session_of(self._driver.backend_of(one)), one) for one in self._connections()]
        return [Idle(session, {}, one) for session, one in found if session is not None]

    def is_whole(self, _connections: int) -> bool:
        """Return that it is not: it has new connections in each run."""
        return False

    def sort(self, places: Mapping[int, int]) -> None:
        """Let connections be handed out in the order of the places of their processes."""
        self._arrange(sorted(self._connections(), key=lambda one: places.get(self._driver.backend_of(one), 0)))

    def close(self) -> None:
        """Close all connections that nobody uses; new ones have no gate."""
        self._disown()
        self.dispose()
        self._lead(self._before)


class AsyncpgPool(AttachedPool):
    """`asyncpg.create_pool`'s. It has a place for each connection, connected or not."""

    driver = "asyncpg"

    def _options(self) -> dict[str, Any]:
        return dict(self._pool._connect_kwargs)

    def _url(self) -> str:
        return next((one for one in self._pool._connect_args if one), "")

    def _lead(self, options: dict[str, Any]) -> None:
        self._pool.set_connect_args(self._url() or None, **options)

    def _own(self) -> None:
        self._setup, self._minsize = self._pool._setup, self._pool._minsize
        self._pool._setup = self._lends
        self._pool._minsize = 0  # or it would connect in the background, at any time

    def _disown(self) -> None:
        self._pool._setup, self._pool._minsize = self._setup, self._minsize
        for place in self._pool._holders:
            place._setup = self._setup
        if self._pool._queue is not None:
            self._queue_of(type(self._pool._queue).__bases__[0], self._pool._holders)

    async def _lends(self, lent: Any) -> None:
        self._lend(lent, self._user(), asyncio.get_running_loop())
        if self._setup is not None:
            await self._setup(lent)

    def _connections(self) -> list[Any]:
        return [place._con for place in reversed(self._in_order()) if place.is_connected() and place.is_idle()]

    def _in_order(self) -> list[Any]:
        """Return the places as the pool has them: the last is taken first."""
        return [] if self._pool._queue is None else list(self._pool._queue._queue)

    def dispose(self) -> None:
        """Close those that nobody uses."""

        async def terminate() -> None:
            for place in self._pool._holders:
                place.terminate()

        if self._pool._holders and not self._pool._closed:
            self._in_its_loop(terminate())

    def fill(self, connections: int) -> None:
        """Open so many, in the places that are taken first."""
        wanted = list(reversed(self._pool._holders))[: max(connections, self._minsize)]

        async def connect() -> None:
            for place in wanted:
                await place.connect()

        if not wanted or self._pool._closed:
            return
        self._in_its_loop(connect())
        for place in self._pool._holders:
            place._setup = self._lends
        found = type(self._pool._queue)
        kind = found if hasattr(found, "stops") else type("Places", (found,), {"get": self._get(found), "stops": True})
        self._queue_of(kind, self._pool._holders)

    def _get(self, kind: Any) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        async def get(queue: Any) -> Any:
            if (client := self._user()) is None:
                return await kind.get(queue)
            for pause in self._pauses(lambda: not queue.empty(), None):
                await client.stop_async(pause)
            return queue.get_nowait()

        return get

    def _queue_of(self, kind: Any, places: list[Any]) -> None:
        self._pool._queue = kind(maxsize=self._pool._maxsize)
        for place in places:
            self._pool._queue.put_nowait(place)

    def _arrange(self, connections: list[Any]) -> None:
        if self._pool._queue is None:
            return
        rank = {id(one): number for number, one in enumerate(connections)}
        last = len(rank)
        places = sorted(self._in_order(), key=lambda place: -rank.get(id(place._con), last))
        self._queue_of(type(self._pool._queue), places)

    def _in_its_loop(self, work: Coroutine[Any, Any, None]) -> None:
        _in_loop(self._pool._loop, work)


class PsycopgPool(AttachedPool):
    """`psycopg_pool.ConnectionPool`. What its threads would do behind a client's back, the client does itself."""

    driver = "psycopg"
    owned: Final = ("getconn", "putconn", "_putconn", "run_task")

    def _options(self) -> dict[str, Any]:
        return dict(self._pool.kwargs() if callable(self._pool.kwargs) else self._pool.kwargs or {})

    def _url(self) -> str:
        return str(self._pool.conninfo() if callable(self._pool.conninfo) else self._pool.conninfo or "")

    def _lead(self, options: dict[str, Any]) -> None:
        self._pool.kwargs = options

    def _own(self) -> None:
        self._was_seen = False  # open
        self._original = {name: getattr(self._pool, name) for name in self.owned}
        for name in self.owned:
            setattr(self._pool, name, getattr(self, name))

    def _disown(self) -> None:
        for name in self.owned:
            delattr(self._pool, name)

    def _connections(self) -> list[Any]:
        return list(self._pool._pool)

    def _arrange(self, connections: list[Any]) -> None:
        self._pool._pool.clear()
        self._pool._pool.extend(connections)

    def dispose(self) -> None:
        """Close those that nobody uses."""
        if self._is_just_opened():
            self._pool.wait()
        for connection in self._take_all():
            connection.close()

    def _is_just_opened(self) -> bool:
        """Return whether threads of the pool's may be about to make its first connections."""
        was_seen, self._was_seen = self._was_seen, not self._pool.closed
        return self._was_seen and not was_seen

    def _take_all(self) -> list[Any]:
        found = self._connections()
        self._pool._pool.clear()
        if not self._pool.closed:  # else it says how many it opens at first
            self._pool._nconns = 0  # between runs nobody uses one
        return found

    def fill(self, connections: int) -> None:
        """Open so many anew, or as many as it keeps."""
        while not self._pool.closed and self._pool._nconns < self._wanted(connections):
            self._keep(self._pool._connect())

    def _wanted(self, connections: int) -> int:
        """Return how many connections the pool has at the beginning of a run with so many clients."""
        return int(min(max(connections, self._pool.min_size), self._pool.max_size))

    def _keep(self, connection: Any) -> None:
        """Have the pool keep a new connection, as it does by itself."""
        connection._pool = None
        self._pool._nconns += 1
        self._pool._pool.append(connection)

    def _is_free(self) -> bool:
        """Return whether a connection is idle, or another may be opened."""
        return bool(self._pool._pool) or self._pool._nconns < self._pool.max_size

    def _waits(self, timeout_seconds: float | None) -> Iterator[Pause]:
        """Yield where a client stops. Raises: PoolTimeout."""
        seconds = self._pool.timeout if timeout_seconds is None else timeout_seconds
        try:
            yield from self._pauses(self._is_free, seconds)
        except TimeoutError:
            error: type[Exception] = sys.modules["psycopg_pool"].PoolTimeout
            raise error(f"couldn't get a connection after {seconds:.2f} sec") from None

    def getconn(self, timeout: float | None = None) -> Any:
        """Return a connection as the pool does, when the schedule lets its client have one."""
        client = self._user()
        if client is None:
            return self._original["getconn"](timeout)
        for pause in self._waits(timeout):
            client.stop(pause)
        if not self._pool._pool:
            self._keep(self._pool._connect())
        connection = self._original["getconn"](timeout)
        self._lend(connection, client)
        return connection

    def putconn(self, connection: Any) -> Any:
        """Take it back."""
        if not connection.closed:
            self._lend(connection, None)
        self._original["putconn"](connection)

    def _putconn(self, connection: Any, **options: bool) -> Any:
        """Put it back to where it was, without a thread of the pool's."""
        self._pool._return_connection(connection, **options)

    def run_task(self, task: Any) -> None:
        """Have a thread of the pool's do something, but open a connection for one that is broken: who needs it does."""
        if current_client() is not None and type(task).__name__ == "AddConnection":
            self._pool._nconns -= 1
        else:
            self._original["run_task"](task)


class AsyncPsycopgPool(PsycopgPool):
    """`psycopg_pool.AsyncConnectionPool`."""

    driver = "psycopg_async"

    def dispose(self) -> None:
        """Close those that nobody uses."""

        async def close() -> None:
            if self._is_just_opened():
                await self._pool.wait()
            for connection in self._take_all():
                await connection.close()

        self._in_its_loop(close())

    def fill(self, connections: int) -> None:
        """Open so many anew, or as many as it keeps."""

        async def connect() -> None:
            while self._pool._nconns < self._wanted(connections):
                self._keep(await self._pool._connect())

        self._in_its_loop(connect())

    def _in_its_loop(self, work: Coroutine[Any, Any, None]) -> None:
        if self._pool.closed:
            work.close()
        else:
            _in_loop(self._pool._sched_runner.get_loop(), work)

    async def getconn(self, timeout: float | None = None) -> Any:
        """Return a connection as the pool does, when the schedule lets its client have one."""
        client = self._user()
        if client is None:
            return await self._original["getconn"](timeout)
        for pause in self._waits(timeout):
            await client.stop_async(pause)
        if not self._pool._pool:
            self._keep(await self._pool._connect())
        connection = await self._original["getconn"](timeout)
        self._lend(connection, client, asyncio.get_running_loop())
        return connection

    async def putconn(self, connection: Any) -> None:
        """Take it back."""
        if not connection.closed:
            self._lend(connection, None)
        await self._original["putconn"](connection)

    async def _putconn(self, connection: Any, **options: bool) -> None:
        await self._pool._return_connection(connection, **options)


def _in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Do something in the loop of a pool, between runs. Raises: ConfigurationError, where the loop does not run."""
    if not loop.is_running():
        work.close()
        raise ConfigurationError(
            "The event loop of the pool does not run. Make the pool by simulation.in_loop, which runs a coroutine in "
            "the loop of all clients, or in a backend's start-up, and close it after the simulation."
        )
    asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)
