"""asyncpg's own pool."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pgdst.simulation.pools.attached_pool import AttachedPool, in_loop


class AsyncpgPool(AttachedPool):
    """The pool of `asyncpg.create_pool`. It has a holder for each connection, connected or not."""

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
        self._pool._minsize = 0  # else the pool would connect in the background, at any time

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
        """Return the holders in the order of the pool, which takes the last one first."""
        return [] if self._pool._queue is None else list(self._pool._queue._queue)

    def dispose(self) -> None:
        """Close all idle connections."""

        async def terminate() -> None:
            for place in self._pool._holders:
                if place.is_idle() or place._con is None or self._proxy.is_a_clients(place._con.get_server_pid()):
                    place.terminate()

        if self._pool._holders and not self._pool._closed:
            self._in_its_loop(terminate())

    def fill(self, connections: int) -> None:
        """Open so many connections, in the holders that are taken first."""
        idle = [place for place in reversed(self._pool._holders) if place.is_idle()]
        wanted = idle[: max(connections, self._minsize)]

        async def connect() -> None:
            for place in wanted:
                await place.connect()

        if not wanted or self._pool._closed:
            return
        for place in self._pool._holders:
            place._setup, place._max_inactive_time = self._lends, 0  # inactivity would be measured in real time
        self._in_its_loop(connect())
        found = type(self._pool._queue)
        kind = found if hasattr(found, "stops") else type("Places", (found,), {"get": self._get(found), "stops": True})
        self._queue_of(kind, list(reversed(idle)))
        self._require_gates()

    def _get(self, kind: Any) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        async def get(queue: Any) -> Any:
            if (client := self._user()) is None:
                return await kind.get(queue)
            for pause in self._pauses(lambda: not queue.empty()):
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
        in_loop(self._pool._loop, work)
