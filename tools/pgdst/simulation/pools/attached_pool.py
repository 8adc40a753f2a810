"""A pool of a driver's own: whose a connection is, and who waits for one, belongs to the schedule.

Such pools have no settings for what a run needs, so names that they keep to themselves are used; tests pin them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from psycopg.conninfo import conninfo_to_dict

from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.clients.yield_points import CHECKOUT, Pause, Waiting, YieldPoint
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.renewal import Idle
from pgdst.simulation.sqlalchemy.attached_engine import require_ours, user
from pgdst.simulation.sqlalchemy.pool import WAITS

_SECONDS: Final = 30.0  # in which the loop of a pool does what it is asked


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
        return user(self._refuse_others)

    def _lend(self, connection: Any, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note who has a connection now."""
        if (session := self._proxy.session_of(self._driver.backend_of(connection))) is not None:
            session.lend(client, loop)

    def _pauses(
        self,
        is_free: Callable[[], bool],
        timeout_seconds: float | None = None,
        too_late: type[Exception] = TimeoutError,
    ) -> Iterator[Pause]:
        """Yield where a client stops until it can have a connection. Raises: `too_late`, by the simulated clock."""
        yield YieldPoint(CHECKOUT)
        now = self._clock.elapsed()
        until = None if timeout_seconds is None else now + timedelta(seconds=timeout_seconds)
        while not is_free():
            yield Waiting(WAITS, is_free, self._clock, until, is_sleep=False)
            if not is_free():
                raise too_late(f"couldn't get a connection after {timeout_seconds:.2f} sec")

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


def in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Do something in the loop of a pool, between runs. Raises: ConfigurationError, where the loop does not run."""
    if not loop.is_running():
        work.close()
        raise ConfigurationError(
            "The event loop of the pool does not run. Make the pool by simulation.in_loop, which runs a coroutine in "
            "the loop of all clients, or in a backend's start-up, and close it after the simulation."
        )
    asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)
