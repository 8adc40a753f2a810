"""SQLAlchemy's pool, whose waits for a connection belong to the schedule."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Queue

from pgdst.simulation.clients.client import current_client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.clients.yield_points import CHECKOUT, Pause, Waiting, YieldPoint

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

InALoop = Callable[[Coroutine[Any, Any, Any]], Any]

# If the pool may not open another connection, the schedule decides which client comes first.
_CHECKOUT = YieldPoint(CHECKOUT)
WAITS = "waits for a connection of the pool"


def own_waits(engine: Engine, clock: SimulatedClock) -> None:
    """Make clients wait for the engine's pool in the schedule, and time out by the simulated clock."""
    if isinstance(engine.pool, QueuePool):
        own = _AsyncQueue if engine.dialect.is_async else _Queue
        # The pool has no setting for its queue. The pool is new, and its queue empty.
        engine.pool._pool = own(engine.pool._pool, clock)
        engine.pool._recycle = -1  # off, as it passes in real time


def has_pool(engine: "Engine | AsyncEngine") -> bool:
    """Return whether the engine keeps connections."""
    return isinstance(_pool_of(engine), QueuePool)


def is_whole(engine: "Engine | AsyncEngine", connections: int) -> bool:
    """Return whether so many connections, or as many as the pool keeps, are idle and usable as they are.

    Else a client would open a connection in one run, and find an idle one in the next.
    """
    pool = _pool_of(engine)
    found = pool._pool.idle()
    return len(found) == _wanted(pool, connections) and all(_is_usable(one, pool) for one in found)


def listeners(engine: "Engine | AsyncEngine") -> int:
    """Return the number of event listeners on new and on handed-out connections, SQLAlchemy's included."""
    found = _pool_of(engine).dispatch
    return sum(len(list(one)) for one in (found.connect, found.first_connect, found.checkout))


def fill(engine: "Engine | AsyncEngine", connections: int, in_a_loop: InALoop) -> None:
    """Open so many connections, or as many as the pool keeps. The pool must be empty."""
    wanted = _wanted(_pool_of(engine), connections)
    if isinstance(engine, Engine):
        opened = [engine.raw_connection() for _ in range(wanted)]
        for connection in opened:
            connection.close()
    else:
        in_a_loop(_fill_async(engine, wanted))


def records(engine: "Engine | AsyncEngine") -> list[Any]:
    """Return the pool's records of its idle connections."""
    found: list[Any] = _pool_of(engine)._pool.idle()
    return found


def sort(engine: "Engine | AsyncEngine", place: Callable[[Any], int]) -> None:
    """Make the pool hand out idle connections in the order of their places."""
    waiting = _pool_of(engine)._pool
    records = sorted(waiting.idle(), key=place)
    for _ in records:
        waiting.get_nowait()
    for record in records:
        waiting.put_nowait(record)


def _pool_of(engine: "Engine | AsyncEngine") -> Any:
    return (engine if isinstance(engine, Engine) else engine.sync_engine).pool


def _wanted(pool: Any, connections: int) -> int:
    return min(connections, pool.size() or connections)


def _is_usable(record: Any, pool: Any) -> bool:
    """Return whether the pool hands this connection out as it is. It reopens one that was invalidated."""
    invalidated = max(record._soft_invalidate_time, pool._invalidate_time)
    return record.dbapi_connection is not None and record.starttime > invalidated


async def _fill_async(engine: "AsyncEngine", wanted: int) -> None:
    opened = [await engine.connect() for _ in range(wanted)]
    for connection in opened:
        await connection.close()


def dispose(engine: "Engine | AsyncEngine", in_a_loop: InALoop) -> None:
    """Close all idle connections of the engine."""
    if isinstance(engine, Engine):
        engine.dispose()
    else:
        in_a_loop(engine.dispose())


def warm_up(engine: "Engine | AsyncEngine", in_a_loop: InALoop) -> None:
    """Make SQLAlchemy run the queries that it runs once an engine, and close all connections."""
    if isinstance(engine, Engine):
        engine.connect().close()
    else:
        in_a_loop(_fill_async(engine, 1))
    dispose(engine, in_a_loop)


class _Queue(Queue[Any]):
    def __init__(self, replaced: Any, clock: SimulatedClock) -> None:
        super().__init__(replaced.maxsize, replaced.use_lifo)
        self._clock = clock

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        client = current_client()
        if client is None or not block:
            return super().get(block, timeout)
        return _take(self, self._clock, timeout, client.stop)

    def idle(self) -> list[Any]:
        return list(self.queue)


class _AsyncQueue(AsyncAdaptedQueue[Any]):
    def __init__(self, replaced: Any, clock: SimulatedClock) -> None:
        super().__init__(replaced.maxsize, replaced.use_lifo)
        self._clock = clock

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        client = current_client()
        if client is None or not block:
            return super().get(block, timeout)
        return _take(self, self._clock, timeout, lambda pause: await_only(client.stop_async(pause)))

    def idle(self) -> list[Any]:
        return list(self._queue._queue)  # type: ignore[attr-defined]  # asyncio has no other way to look


def _take(queue: Any, clock: SimulatedClock, timeout: float | None, stop: Callable[[Pause], None]) -> Any:
    """Return an item of the queue when the schedule lets the client have one. Raises: Empty, at the time-out."""
    stop(_CHECKOUT)
    wait = _wait(queue, clock, timeout)
    while True:
        try:
            return queue.get_nowait()
        except Empty:
            stop(wait)
            if not wait.is_over():
                raise


def _wait(queue: Any, clock: SimulatedClock, timeout_seconds: float | None) -> Waiting:
    until = clock.elapsed() + timedelta(seconds=timeout_seconds) if timeout_seconds is not None else None
    return Waiting(WAITS, lambda: not queue.empty(), clock, until, is_sleep=False)
