"""The pools of psycopg_pool. Clients do the work that threads and tasks of the pool would do in the background."""

import asyncio
import inspect
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import WeakSet

from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Pause, Waiting
from pgdst.simulation.pools.attached_pool import AttachedPool, in_loop


class PsycopgPool(AttachedPool):
    """`psycopg_pool.ConnectionPool`."""

    driver = "psycopg"
    owned: Final = ("getconn", "putconn", "_putconn", "run_task")

    def _options(self) -> dict[str, Any]:
        return dict(_resolved(self._pool.kwargs) or {})

    def _url(self) -> str:
        return str(_resolved(self._pool.conninfo) or "")

    def _is_attached(self) -> bool:
        return "getconn" in vars(self._pool)

    def _lead(self) -> None:
        self._kwargs = self._pool.kwargs
        self._pool.kwargs = lambda: self._led(_resolved(self._kwargs) or {})

    def _lead_back(self) -> None:
        self._pool.kwargs = self._kwargs

    def _own(self) -> None:
        self._was_seen = False  # whether the pool was open before
        self._waiting = 0
        self._lent: set[Any] = set()  # to clients of the run
        self._forgotten: WeakSet[Any] = WeakSet()  # lent to clients of earlier runs, and not counted any more
        self._shrinks: Any = None
        self._original = {name: getattr(self._pool, name) for name in self.owned}
        for name in self.owned:
            setattr(self._pool, name, getattr(self, name))

    def _disown(self) -> None:
        for name in self.owned:
            delattr(self._pool, name)
        if self._shrinks is not None:
            self._pool.schedule_task(self._shrinks, self._pool.max_idle)
        if not self._pool.closed and self._pool._nconns < self._pool.min_size:
            self._let_it_grow()

    def _let_it_grow(self) -> None:
        """Make the pool open its minimum of connections, as it does by itself."""
        self._pool.check()

    def _connections(self) -> list[Any]:
        return list(self._pool._pool)

    def _arrange(self, connections: list[Any]) -> None:
        self._pool._pool.clear()
        self._pool._pool.extend(connections)

    def dispose(self) -> None:
        """Close all idle connections."""
        if self._is_just_opened():
            self._pool.wait()
        for connection in self._take_all():
            connection.close()

    def _is_just_opened(self) -> bool:
        """Return whether threads of the pool may be opening its first connections."""
        was_seen, self._was_seen = self._was_seen, not self._pool.closed
        return self._was_seen and not was_seen and self._pool._nconns > len(self._pool._pool)

    def _take_all(self) -> list[Any]:
        """Take out the idle connections, and forget those that clients have not given back."""
        found = self._connections()
        self._pool._pool.clear()
        if not self._pool.closed:  # a closed pool's number is that of the connections that it opens first
            self._pool._nconns -= len(found) + len(self._lent)
        self._forgotten.update(self._lent)
        self._lent.clear()
        return found

    def fill(self, connections: int) -> None:
        """Open so many connections, or as many as the pool keeps."""
        while self._lacks_one_of(connections):
            with self._counted():
                self._keep(self._pool._connect())
        self._require_gates()

    def _lacks_one_of(self, connections: int) -> bool:
        """Return whether the pool has fewer connections than a run of so many clients needs at its beginning."""
        wanted = min(max(connections, self._pool.min_size), self._pool.max_size)
        return not self._pool.closed and bool(self._pool._nconns < wanted)

    def _keep(self, connection: Any) -> None:
        """Put a new connection into the pool, as the pool does by itself."""
        connection._pool = None
        self._pool._pool.append(connection)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the connection that this block opens from the beginning: others may read the count meanwhile."""
        self._pool._nconns += 1
        try:
            yield
        except BaseException:
            self._pool._nconns -= 1
            raise

    def _can_grow(self) -> bool:
        return bool(self._pool._nconns < self._pool.max_size)

    def _is_free(self) -> bool:
        """Return whether a connection is idle, or another may be opened."""
        return bool(self._pool._pool) or self._can_grow()

    def _waits(self, timeout_seconds: float | None) -> Iterator[Pause]:
        """Yield the pauses of a client that waits. Raises: PoolTimeout, TooManyRequests."""
        errors = sys.modules["psycopg_pool"]
        seconds = self._pool.timeout if timeout_seconds is None else timeout_seconds
        for pause in self._pauses(self._is_free, seconds, errors.PoolTimeout):
            waits = isinstance(pause, Waiting)
            if waits and self._pool.max_waiting and self._waiting >= self._pool.max_waiting:
                raise errors.TooManyRequests(f"the pool has already {self._waiting} requests waiting")
            self._waiting += waits
            try:
                yield pause
            finally:
                self._waiting -= waits

    def _may_have_one(self) -> Client | None:
        """Return the client that asks for a connection. Raises: PoolClosed."""
        self._pool._check_open_getconn()
        return self._user()

    def _must_wait(self, client: Client | None) -> bool:
        """Return whether the pool itself has to make the caller wait: no client, between runs, and none is free."""
        return client is None and not self._is_free()

    def _takes(self, connection: Any, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note that a connection is taken out."""
        connection._pool = self._pool
        if client is not None:
            self._lent.add(connection)
            self._lend(connection, client, loop)

    def getconn(self, timeout: float | None = None) -> Any:
        """Replace the pool's method: a client waits for a connection in the schedule."""
        client = self._may_have_one()
        if self._must_wait(client):
            return self._original["getconn"](timeout)
        while True:
            if client is not None:
                for pause in self._waits(timeout):
                    client.stop(pause)
            connection = self._pool._pool.popleft() if self._pool._pool else self._connected(timeout)
            self._takes(connection, client)
            try:
                self._pool._check_connection(connection)
            except Exception:  # if a check raises, the pool tries another connection
                self._pool.putconn(connection)
            except BaseException:
                self._pool.putconn(connection)
                raise
            else:
                return connection

    def _connected(self, timeout: float | None) -> Any:
        with self._counted():
            return self._pool._connect(timeout)

    def putconn(self, connection: Any) -> Any:
        """Take a connection back."""
        self._gives_back(connection)
        self._original["putconn"](connection)

    def _gives_back(self, connection: Any) -> None:
        """Note that a connection is given back. Raises: ValueError, if it is another pool's."""
        self._pool._check_pool_putconn(connection)
        self._lent.discard(connection)
        if connection in self._forgotten:
            self._forgotten.discard(connection)
            self._pool._nconns += 1
        if not connection.closed:
            self._lend(connection, None)

    def _putconn(self, connection: Any, **options: bool) -> Any:
        """Put a connection back without a thread of the pool."""
        self._pool._return_connection(connection, **options)

    def run_task(self, task: Any) -> None:
        """Let a thread of the pool run a task, except those that would change the pool at any time in a run.

        A client that needs a connection in place of a broken one opens it itself. Idle ones are closed between runs.
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

    def _let_it_grow(self) -> None:
        with suppress(ConfigurationError):  # its loop has ended
            self._in_its_loop(self._pool.check())

    def dispose(self) -> None:
        """Close all idle connections."""

        async def close() -> None:
            if self._is_just_opened():
                await self._pool.wait()
            for connection in self._take_all():
                await connection.close()

        self._in_its_loop(close())

    def fill(self, connections: int) -> None:
        """Open so many connections, or as many as the pool keeps."""

        async def connect() -> None:
            while self._lacks_one_of(connections):
                with self._counted():
                    self._keep(await self._pool._connect())

        self._in_its_loop(connect())
        self._require_gates()

    def _in_its_loop(self, work: Coroutine[Any, Any, None]) -> None:
        if self._pool.closed:
            work.close()
        else:
            in_loop(self._pool._sched_runner.get_loop(), work)

    async def getconn(self, timeout: float | None = None) -> Any:
        """Replace the pool's method: a client waits for a connection in the schedule."""
        client = self._may_have_one()
        if self._must_wait(client):
            return await self._original["getconn"](timeout)
        while True:
            if client is not None:
                for pause in self._waits(timeout):
                    await client.stop_async(pause)
            connection = self._pool._pool.popleft() if self._pool._pool else await self._connected(timeout)
            self._takes(connection, client, asyncio.get_running_loop())
            try:
                await self._pool._check_connection(connection)
            except Exception:  # if a check raises, the pool tries another connection
                await self._pool.putconn(connection)
            except BaseException:
                await self._pool.putconn(connection)
                raise
            else:
                return connection

    async def _connected(self, timeout: float | None) -> Any:
        with self._counted():
            return await self._pool._connect(timeout)

    async def putconn(self, connection: Any) -> None:
        """Take a connection back."""
        self._gives_back(connection)
        await self._original["putconn"](connection)

    async def _putconn(self, connection: Any, **options: bool) -> None:
        await self._pool._return_connection(connection, **options)


def _resolved(option: Any) -> Any:
    """Return an option, or the value of a function that gives it. Raises: ConfigurationError, if that is async."""
    found = option() if callable(option) else option
    if inspect.isawaitable(found):
        if inspect.iscoroutine(found):
            found.close()
        raise ConfigurationError(
            "The pool gets its connection string or options from a coroutine function, which can't be called here. "
            "Give it a string, or simulation.url()."
        )
    return found
