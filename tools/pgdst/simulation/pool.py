"""SQLAlchemy's pool, whose waits for a connection belong to the schedule."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Queue

from pgdst.simulation.client import CHECKOUT, AtGate, Pause, Waiting, current_client
from pgdst.simulation.clock import SimulatedClock

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# Where the pool may not open another connection, who comes first is a choice.
_CHECKOUT = AtGate(CHECKOUT)
_WHAT = "waits for a connection of the pool"


def own_waits(engine: Engine, clock: SimulatedClock) -> None:
    """Let clients who wait for a connection of the engine's pool wait in the schedule, and time out by the clock."""
    if isinstance(engine.pool, QueuePool):
        own = _AsyncQueue if engine.dialect.is_async else _Queue
        # The pool has no setting for it. It is new and holds nothing yet.
        engine.pool._pool = own(engine.pool._pool, clock)


def fill(engine: "Engine | AsyncEngine", connections: int, clock: SimulatedClock) -> None:
    """Have so many idle connections in the pool, or as many as it keeps: each run starts with the same.

    Else a client would connect in one run, and find a connection in the next.
    """
    synchronous = engine if isinstance(engine, Engine) else engine.sync_engine
    pool = synchronous.pool
    if not isinstance(pool, QueuePool):
        return
    wanted = min(connections, pool.size() or connections)
    if pool.checkedin() == wanted:
        return
    if pool.checkedin() > wanted:
        dispose(engine)
        own_waits(synchronous, clock)
    if isinstance(engine, Engine):
        opened = [engine.raw_connection() for _ in range(wanted)]
        for connection in opened:
            connection.close()
    else:
        _in_a_loop(_fill_async(engine, wanted))


async def _fill_async(engine: "AsyncEngine", wanted: int) -> None:
    opened = [await engine.connect() for _ in range(wanted)]
    for connection in opened:
        await connection.close()


def dispose(engine: "Engine | AsyncEngine") -> None:
    """Close all connections of the engine that nobody uses."""
    if isinstance(engine, Engine):
        engine.dispose()
    else:
        _in_a_loop(engine.dispose())


def warm_up(engine: "Engine | AsyncEngine") -> None:
    """Let SQLAlchemy ask what it asks once an engine, which is no part of a run, and close all connections."""
    if isinstance(engine, Engine):
        engine.connect().close()
        engine.dispose()
    else:
        _in_a_loop(_warm_up_async(engine))


async def _warm_up_async(engine: "AsyncEngine") -> None:
    await (await engine.connect()).close()
    await engine.dispose()


def _in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end in a loop and a thread of their own, as the caller's thread may have a loop."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work).result()


class _Queue(Queue[Any]):
    def __init__(self, replaced: Any, clock: SimulatedClock) -> None:
        super().__init__(replaced.maxsize, replaced.use_lifo)
        self._clock = clock

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        client = current_client()
        if client is None or not block:
            return super().get(block, timeout)
        return _take(self, self._clock, timeout, client.stop)


class _AsyncQueue(AsyncAdaptedQueue[Any]):
    def __init__(self, replaced: Any, clock: SimulatedClock) -> None:
        super().__init__(replaced.maxsize, replaced.use_lifo)
        self._clock = clock

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        client = current_client()
        if client is None or not block:
            return super().get(block, timeout)
        return _take(self, self._clock, timeout, lambda pause: await_only(client.stop_async(pause)))


def _take(queue: Any, clock: SimulatedClock, timeout: float | None, stop: Callable[[Pause], None]) -> Any:
    """Return what the queue has, stopping until the schedule lets the client go on. Raises: Empty, at the time-out."""
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
    return Waiting(_WHAT, lambda: not queue.empty(), clock, until, is_sleep=False)
