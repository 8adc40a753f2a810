"""The pools of asyncpg and of psycopg_pool: whose a connection is, and who waits for one, belongs to the schedule.

Neither has settings for what a run needs, so names that they keep to themselves are used here; tests pin them.
"""

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from psycopg.conninfo import conninfo_to_dict

from pgdst.errors import ConfigurationError
from pgdst.simulation.client import CHECKOUT, AbandonedError, AtGate, Client, Pause, Waiting, current_client
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.gate.attached import require_ours
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.renewal import Idle

_WHAT: Final = "waits for a connection of the pool"
_SECONDS: Final = 30.0  # in which the loop of a pool does what it is asked


def kind_of(found: object) -> "type[AttachedPool] | None":
    """Return how a pool is attached, None where it is none that is known.

    Raises: ConfigurationError, where it keeps no connections.
    """
    kinds = {"asyncpg.pool": AsyncpgPool, "psycopg_pool.pool": PsycopgPool, "psycopg_pool.pool_async": AsyncPsycopgPool}
    modules = [kind.__module__ for kind in type(found).__mro__]
    if any(module.startswith("psycopg_pool.null_pool") for module in modules):
        raise ConfigurationError(
            f"A {type(found).__name__} keeps no connections, and waits in real time. Make a ConnectionPool, or have it "
            "connect to simulation.url()."
        )
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
        if self._is_attached():
            raise ConfigurationError("The pool is attached already. Close the simulation that it is attached to.")
        self._before = self._options()
        place = self._place()
        require_ours("pool", proxy, place.get("host"), place.get("port"))
        self._lead()
        self._own()
        try:
            self.dispose()
        except BaseException:
            self._lead_back()
            self._disown()
            raise

    def _led(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options by which a connection is made to the proxy."""
        found = dict(options)
        self._driver.lead(self._proxy, found)
        return found

    # What pools have, each by another name.

    def _options(self) -> dict[str, Any]:
        """Return what connections are made with, beside a URL."""
        raise NotImplementedError

    def _url(self) -> str:
        """Return the URL, or what else is like it."""
        raise NotImplementedError

    def _is_attached(self) -> bool:
        """Return whether a simulation has it."""
        raise NotImplementedError

    def _lead(self) -> None:
        """Have connections made to the proxy from now on."""
        raise NotImplementedError

    def _lead_back(self) -> None:
        """Have connections made as before."""
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
        found = {**_said_by(self._url()), **self._before}
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

    def _require_gates(self) -> None:
        """Return only where each connection has a gate. Raises: ConfigurationError."""
        if len(self.idle()) < len(self._connections()):
            raise ConfigurationError(
                "The pool makes its connections by a function of its own, so they have no gate. Let that function use "
                "the options that it is given, or have it connect to simulation.url()."
            )

    def close(self) -> None:
        """Close all connections that nobody uses; new ones have no gate."""
        self._lead_back()
        try:
            self.dispose()
        except ConfigurationError:
            pass  # its loop has ended, and its connections with it
        finally:
            self._disown()


def _said_by(url: str) -> dict[str, Any]:
    """Return what a URL says, or what else libpq takes; asyncpg's may have settings of the server as well."""
    if "://" not in url:
        return conninfo_to_dict(url)
    parts = urlsplit(url)
    found = {"user": parts.username, "host": parts.hostname, "port": parts.port, "database": parts.path.lstrip("/")}
    asked = {name: value for name, value in parse_qsl(parts.query) if name in ("user", "host", "port", "dbname")}
    return {name: value for name, value in {**found, **asked}.items() if value}


class AsyncpgPool(AttachedPool):
    """`asyncpg.create_pool`'s. It has a place for each connection, connected or not."""

    driver = "asyncpg"

    def _options(self) -> dict[str, Any]:
        return dict(self._pool._connect_kwargs)

    def _url(self) -> str:
        return next((one for one in self._pool._connect_args if one), "")

    def _is_attached(self) -> bool:
        return isinstance(getattr(self._pool._setup, "__self__", None), AsyncpgPool)

    def _lead(self) -> None:
        self._pool.set_connect_args(self._url() or None, **self._led(self._before))

    def _lead_back(self) -> None:
        self._pool.set_connect_args(self._url() or None, **self._before)

    def _own(self) -> None:
        self._inactive_seconds = self._pool._max_inactive_connection_lifetime
        self._setup, self._minsize = self._pool._setup, self._pool._minsize
        self._pool._setup = self._lends
        self._pool._minsize = 0  # or it would connect in the background, at any time

    def _disown(self) -> None:
        self._pool._setup, self._pool._minsize = self._setup, self._minsize
        for place in self._pool._holders:
            place._setup, place._max_inactive_time = self._setup, self._inactive_seconds
        if hasattr(type(self._pool._queue), "stops"):
            self._queue_of(type(self._pool._queue).__bases__[0], self._in_order())

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
                if place.is_idle() or place._con is None or self._proxy.is_a_clients(place._con.get_server_pid()):
                    place.terminate()

        if self._pool._holders and not self._pool._closed:
            self._in_its_loop(terminate())

    def fill(self, connections: int) -> None:
        """Open so many, in the places that are taken first."""
        idle = [place for place in reversed(self._pool._holders) if place.is_idle()]
        wanted = idle[: max(connections, self._minsize)]

        async def connect() -> None:
            for place in wanted:
                await place.connect()

        if not wanted or self._pool._closed:
            return
        for place in self._pool._holders:
            place._setup, place._max_inactive_time = self._lends, 0  # which would pass in real time
        self._in_its_loop(connect())
        found = type(self._pool._queue)
        kind = found if hasattr(found, "stops") else type("Places", (found,), {"get": self._get(found), "stops": True})
        self._queue_of(kind, list(reversed(idle)))
        self._require_gates()

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
        return dict(_now(self._pool.kwargs) or {})

    def _url(self) -> str:
        return str(_now(self._pool.conninfo) or "")

    def _is_attached(self) -> bool:
        return "getconn" in vars(self._pool)

    def _lead(self) -> None:
        self._kwargs = self._pool.kwargs
        self._pool.kwargs = lambda: self._led(_now(self._kwargs) or {})

    def _lead_back(self) -> None:
        self._pool.kwargs = self._kwargs

    def _own(self) -> None:
        self._was_seen = False  # open
        self._waiting = 0
        self._lent: dict[int, Any] = {}  # to clients of the run, by id
        self._shrinks: Any = None
        self._original = {name: getattr(self._pool, name) for name in self.owned}
        for name in self.owned:
            setattr(self._pool, name, getattr(self, name))

    def _disown(self) -> None:
        self.fill(0)
        for name in self.owned:
            delattr(self._pool, name)
        if self._shrinks is not None:
            self._pool.schedule_task(self._shrinks, self._pool.max_idle)

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
        return self._was_seen and not was_seen and self._pool._nconns > len(self._pool._pool)

    def _take_all(self) -> list[Any]:
        """Take out those that nobody uses, and forget those that clients have not given back."""
        found = self._connections()
        self._pool._pool.clear()
        if not self._pool.closed:  # else it says how many it opens at first
            self._pool._nconns -= len(found) + len(self._lent)
        self._lent.clear()
        return found

    def fill(self, connections: int) -> None:
        """Open so many anew, or as many as it keeps."""
        while not self._pool.closed and self._pool._nconns < self._wanted(connections):
            self._keep(self._pool._connect())
        if connections:
            self._require_gates()

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
        """Yield where a client stops. Raises: PoolTimeout, TooManyRequests."""
        errors = sys.modules["psycopg_pool"]
        seconds = self._pool.timeout if timeout_seconds is None else timeout_seconds
        for pause in self._pauses_or_too_late(seconds, errors.PoolTimeout):
            if isinstance(pause, Waiting):
                if self._pool.max_waiting and self._waiting >= self._pool.max_waiting:
                    raise errors.TooManyRequests(f"the pool has already {self._waiting} requests waiting")
                self._waiting += 1
            try:
                yield pause
            finally:
                self._waiting -= isinstance(pause, Waiting)

    def _pauses_or_too_late(self, seconds: float, error: type[Exception]) -> Iterator[Pause]:
        try:
            yield from self._pauses(self._is_free, seconds)
        except TimeoutError:
            raise error(f"couldn't get a connection after {seconds:.2f} sec") from None

    def _may_have_one(self) -> Client | None:
        """Return the client who wants a connection. Raises: PoolClosed."""
        self._pool._check_open_getconn()
        return self._user()

    def _takes(self, connection: Any, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> Any:
        """Note that somebody has it now."""
        connection._pool = self._pool
        if client is not None:
            self._lent[id(connection)] = connection
            self._lend(connection, client, loop)
        return connection

    def getconn(self, timeout: float | None = None) -> Any:
        """Return a connection as the pool does, when the schedule lets its client have one."""
        client = self._may_have_one()
        while True:
            if client is not None:
                for pause in self._waits(timeout):
                    client.stop(pause)
            connection = self._pool._pool.popleft() if self._pool._pool else self._connected(timeout, client)
            if connection is None:
                return self._original["getconn"](timeout)
            self._takes(connection, client)
            try:
                self._pool._check_connection(connection)
            except Exception:  # whatever a check raises: the pool tries another one
                self._pool.putconn(connection)
            except BaseException:
                self._pool.putconn(connection)
                raise
            else:
                return connection

    def _connected(self, timeout: float | None, client: Client | None) -> Any:
        """Return a new connection; None for somebody who has to wait between runs, as the pool lets one."""
        if client is None and self._pool._nconns >= self._pool.max_size:
            return None
        self._pool._nconns += 1  # at once, as others may come while it connects
        try:
            return self._pool._connect(timeout)
        except BaseException:
            self._pool._nconns -= 1
            raise

    def putconn(self, connection: Any) -> Any:
        """Take it back."""
        self._gives_back(connection)
        self._original["putconn"](connection)

    def _gives_back(self, connection: Any) -> None:
        """Note that nobody has it any more. Raises: ValueError, where it is another pool's."""
        self._pool._check_pool_putconn(connection)
        if self._lent.pop(id(connection), None) is None and current_client() is not None:
            self._pool._nconns += 1  # of a run before, and forgotten
        if not connection.closed:
            self._lend(connection, None)

    def _putconn(self, connection: Any, **options: bool) -> Any:
        """Put it back to where it was, without a thread of the pool's."""
        self._pool._return_connection(connection, **options)

    def run_task(self, task: Any) -> None:
        """Have a thread of the pool's do something, but what would come at any time into a run.

        A connection in place of a broken one is opened by who needs it. Idle ones are closed between runs.
        """
        kind = type(task).__name__
        if kind == "AddConnection" and self._was_seen:
            self._pool._nconns -= 1
            self._pool._growing = False
        elif kind == "ShrinkPool":
            self._shrinks = task
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
        if connections:
            self._require_gates()

    def _disown(self) -> None:
        with suppress(ConfigurationError):  # its loop has ended
            self.fill(0)
        for name in self.owned:
            delattr(self._pool, name)

    def _in_its_loop(self, work: Coroutine[Any, Any, None]) -> None:
        if self._pool.closed:
            work.close()
        else:
            _in_loop(self._pool._sched_runner.get_loop(), work)

    async def getconn(self, timeout: float | None = None) -> Any:
        """Return a connection as the pool does, when the schedule lets its client have one."""
        client = self._may_have_one()
        while True:
            if client is not None:
                for pause in self._waits(timeout):
                    await client.stop_async(pause)
            connection = self._pool._pool.popleft() if self._pool._pool else await self._connected(timeout, client)
            if connection is None:
                return await self._original["getconn"](timeout)
            self._takes(connection, client, asyncio.get_running_loop())
            try:
                await self._pool._check_connection(connection)
            except Exception:  # whatever a check raises: the pool tries another one
                await self._pool.putconn(connection)
            except BaseException:
                await self._pool.putconn(connection)
                raise
            else:
                return connection

    async def _connected(self, timeout: float | None, client: Client | None) -> Any:
        if client is None and self._pool._nconns >= self._pool.max_size:
            return None
        self._pool._nconns += 1
        try:
            return await self._pool._connect(timeout)
        except BaseException:
            self._pool._nconns -= 1
            raise

    async def putconn(self, connection: Any) -> None:
        """Take it back."""
        self._gives_back(connection)
        await self._original["putconn"](connection)

    async def _putconn(self, connection: Any, **options: bool) -> None:
        await self._pool._return_connection(connection, **options)


def _now(said: Any) -> Any:
    """Return what is said, or what a function says now. Raises: ConfigurationError, for a coroutine function."""
    found = said() if callable(said) else said
    if inspect.isawaitable(found):
        if inspect.iscoroutine(found):
            found.close()
        raise ConfigurationError(
            "The pool asks a coroutine function where it connects to, which can't be asked here. Give it a string, or "
            "simulation.url()."
        )
    return found


def _in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Do something in the loop of a pool, between runs. Raises: ConfigurationError, where the loop does not run."""
    if not loop.is_running():
        work.close()
        raise ConfigurationError(
            "The event loop of the pool does not run. Make the pool by simulation.in_loop, which runs a coroutine in "
            "the loop of all clients, or in a backend's start-up, and close it after the simulation."
        )
    asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)
