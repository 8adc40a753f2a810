"""The base of attached pools that are not SQLAlchemy's: waits for a connection belong to the schedule.

These pools have no settings for this, so their private names are used. Tests pin those.
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

_SECONDS: Final = 30.0  # how long a pool's loop may take for a task


class AttachedPool:
    """A pool whose new connections go to the proxy. They are opened anew for each run.

    Raises: ForeignServerError, if it connects to another server; ConfigurationError, if its event loop does not run.
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
        """Return connection options changed so that they lead to the proxy."""
        found = dict(options)
        self._driver.lead(self._proxy, found)
        return found

    # To be implemented for each kind of pool.

    def _options(self) -> dict[str, Any]:
        """Return the pool's connection options, beside its URL."""
        raise NotImplementedError

    def _url(self) -> str:
        """Return the pool's URL or connection string."""
        raise NotImplementedError

    def _is_attached(self) -> bool:
        """Return whether the pool is attached to a simulation."""
        raise NotImplementedError

    def _lead(self) -> None:
        """Make new connections go to the proxy."""
        raise NotImplementedError

    def _lead_back(self) -> None:
        """Make new connections go to the server, as before."""
        raise NotImplementedError

    def _own(self) -> None:
        """Make the pool tell which client takes a connection, and wait in the schedule."""
        raise NotImplementedError

    def _disown(self) -> None:
        """Undo `_own`."""
        raise NotImplementedError

    def _connections(self) -> list[Any]:
        """Return the idle connections, in the order in which they are handed out."""
        raise NotImplementedError

    def dispose(self) -> None:
        """Close all idle connections."""
        raise NotImplementedError

    def fill(self, connections: int) -> None:
        """Open so many connections, or as many as the pool keeps."""
        raise NotImplementedError

    def _arrange(self, connections: list[Any]) -> None:
        """Make the pool hand out connections in this order."""
        raise NotImplementedError

    # Common to all kinds.

    @property
    def database(self) -> str:
        """The database that its connections are in."""
        place = self._place()
        return str(place.get("database") or place.get("dbname") or place.get("user", ""))

    def _place(self) -> dict[str, Any]:
        """Return host, port and database, as far as the pool names them."""
        found = {**_options_in(self._url()), **self._before}
        return {name: value for name, value in found.items() if value is not None}

    def _user(self) -> Client | None:
        """Return the client that uses the pool, None between runs. Raises: AbandonedError; InconclusiveError."""
        return user(self._refuse_others)

    def _lend(self, connection: Any, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note which client has a connection now; None: it is back."""
        if (session := self._proxy.session_of(self._driver.backend_of(connection))) is not None:
            session.lend(client, loop)

    def _pauses(
        self,
        is_free: Callable[[], bool],
        timeout_seconds: float | None = None,
        too_late: type[Exception] = TimeoutError,
    ) -> Iterator[Pause]:
        """Yield the pauses of a client that waits for a connection. Raises: `too_late`, at the simulated time-out."""
        yield YieldPoint(CHECKOUT)
        now = self._clock.elapsed()
        until = None if timeout_seconds is None else now + timedelta(seconds=timeout_seconds)
        while not is_free():
            yield Waiting(WAITS, is_free, self._clock, until, is_sleep=False)
            if not is_free():
                raise too_late(f"couldn't get a connection after {timeout_seconds:.2f} sec")

    def idle(self) -> list[Idle]:
        """Return the idle connections."""
        found = [(self._proxy.session_of(self._driver.backend_of(one)), one) for one in self._connections()]
        return [Idle(session, {}, one) for session, one in found if session is not None]

    def is_whole(self, _connections: int) -> bool:
        """Return False: connections are opened anew for each run."""
        return False

    def sort(self, places: Mapping[int, int]) -> None:
        """Make the pool hand out connections in the order of `places`, by the pids of their server processes."""
        self._arrange(sorted(self._connections(), key=lambda one: places.get(self._driver.backend_of(one), 0)))

    def _require_gates(self) -> None:
        """Check that each connection goes through the gate. Raises: ConfigurationError."""
        if len(self.idle()) < len(self._connections()):
            raise ConfigurationError(
                "The pool makes its connections by a function of its own, so they have no gate. Let that function use "
                "the options that it is given, or connect to simulation.url()."
            )

    def close(self) -> None:
        """Close all idle connections; new ones do not go through the gate."""
        self._lead_back()
        try:
            self.dispose()
        except ConfigurationError:
            pass  # its loop has ended, and so have its connections
        finally:
            self._disown()


def _options_in(url: str) -> dict[str, Any]:
    """Return the options in a URL or a libpq connection string; asyncpg's URLs may have server settings as well."""
    if "://" not in url:
        return conninfo_to_dict(url)
    parts = urlsplit(url)
    found = {"user": parts.username, "host": parts.hostname, "port": parts.port, "database": parts.path.lstrip("/")}
    asked = {name: value for name, value in parse_qsl(parts.query) if name in ("user", "host", "port", "dbname")}
    return {name: value for name, value in {**found, **asked}.items() if value}


def in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a pool's loop, between runs. Raises: ConfigurationError, if the loop does not run."""
    if not loop.is_running():
        work.close()
        raise ConfigurationError(
            "The event loop of the pool does not run. Make the pool by simulation.in_loop, which runs a coroutine in "
            "the loop of all clients, or in a backend's start-up, and close it after the simulation."
        )
    asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)
