"""A simulation: engines whose connections go through the gate, named clients, and runs of them under strategies."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Engine, Pool

from pgdst.errors import ConfigurationError, InconclusiveError, ScheduleError
from pgdst.server.guard import GUARD, Place
from pgdst.simulation import last_run
from pgdst.simulation.clients.client import Client, current_client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.clients.loop import Loop
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.gate import drivers, identity
from pgdst.simulation.gate.garbage import no_collection
from pgdst.simulation.gate.proxy import PORT, Proxy
from pgdst.simulation.gate.renewal import Idle, Sessions, report_writes
from pgdst.simulation.gate.run import Elsewhere
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.gate.trigger_points import install_triggers, trigger_points_of
from pgdst.simulation.pools import kinds as pools
from pgdst.simulation.pools.attached_pool import AttachedPool
from pgdst.simulation.result import Result
from pgdst.simulation.scheduling.scheduler import DEADLINE_SECONDS, STALL_SECONDS, Scheduler
from pgdst.simulation.served import Served
from pgdst.simulation.sqlalchemy import unattached
from pgdst.simulation.sqlalchemy.attached_engine import AttachedEngine, synchronous_side
from pgdst.simulation.sqlalchemy.mappers import load_properties_in_order
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import Strategy
from pgdst.simulation.trace import Trace

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # needs greenlet, which only its users have

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


class Simulation:
    """Clients of one or more databases, which run one at a time.

    A run begins with an idle connection for each of its clients, and with at least `connections`. Set it to the
    greatest number of clients where runs of one simulation differ in that, so that connections need not be reopened.
    A run is inconclusive if a client neither sends anything nor waits for a lock for `stall_seconds`, or if the run
    lasts longer than `deadline_seconds`. Both are in real time.
    """

    def __init__(
        self,
        processes: ServerProcesses,
        *,
        clock: SimulatedClock | None = None,
        inside_statements: bool = False,
        connections: int = 0,
        stall_seconds: float = STALL_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        load_properties_in_order()
        self.clock = clock or SimulatedClock()
        self.last: Result | None = None  # the last run; one without a result as far as it came
        self.trace: Trace | None = None  # where it is set, all runs are added to it
        self.locates_code = True  # whether steps have the line of code; this takes about a tenth of a step
        self._processes = processes
        self._inside_statements = inside_statements
        self._connections = connections
        self._stall_seconds = stall_seconds
        self._deadline_seconds = deadline_seconds
        self._attached: list[AttachedEngine | AttachedPool] = []
        self._served: list[Served] = []
        self._clients: dict[str, Callable[[], Any]] = {}
        self._running: Scheduler | None = None
        self._was_abandoned = False
        self._idle = Sessions(())
        self._loop: Loop | None = None
        self._resources = ExitStack()
        try:
            self._proxy = Proxy(processes.server)
            self._resources.callback(self._proxy.close)
            self._resources.enter_context(drivers.cancelling_without_the_lock(self._proxy))
            self._resources.enter_context(GUARD.also(Place(str(self._proxy.folder), PORT)))
            self._resources.enter_context(
                unattached.refused(self._proxy, self._is_attached, self._refuse_past_the_gate)
            )
        except BaseException:
            self._resources.close()
            raise

    def attach(self, engine: "Engine | AsyncEngine | Any") -> None:
        """Make new connections of an engine or a pool go through the gate. Open connections are closed.

        An engine is SQLAlchemy's, a pool asyncpg's or psycopg_pool's. With `inside_statements` the tables of its
        database get triggers, at which a schedule can stop a statement.

        Raises: ConfigurationError, if the driver is unknown, if its connections can't go through the gate, or if a
        pool's event loop does not run; ForeignServerError, if the engine connects to another server.
        """
        if (kind := pools.kind_of(engine)) is not None:
            pool = kind(engine, self._proxy, self.clock, self._refuse_others)
            self._attached.append(pool)
            self._place_inside_once(pool.database)
            return
        self._place_inside_once(synchronous_side(engine).url.database or "")
        attached = AttachedEngine(engine, self._proxy, self.clock, self._refuse_others, self._in_a_loop)
        self._attached.append(attached)

    def place_inside(self, database: str) -> int:
        """Have a schedule stop statements inside, in this database, where that is wanted; a new one needs it again.

        Returns how many sessions of the kit's are connected to it for that.
        """
        if not self._inside_statements:
            return 0
        server = self._processes.server.with_database(database)
        if (points := self._proxy.trigger_points.get(database)) is not None:
            install_triggers(server)
            points.reopen()
        else:
            points = self._resources.enter_context(trigger_points_of(server, self._processes))
            self._proxy.trigger_points[database] = points
        return 1

    def _place_inside_once(self, database: str) -> None:
        if database not in self._proxy.trigger_points:
            self.place_inside(database)

    def url(self, driver: str = "", *, database: str | None = None, tcp: bool = False) -> str:
        """Return the URL by which any driver in this process connects to the gate.

        `driver` is SQLAlchemy's name of one (`postgresql+asyncpg://…`). With `tcp` the URL has a port on 127.0.0.1
        instead of the directory of a Unix socket. Statements that arrive in a run belong to the client that has the
        turn.
        """
        return self._url(driver, database, self._proxy.port() if tcp else None)

    def serve(
        self,
        command: Sequence[str],
        *,
        url_variable: str = "DATABASE_URL",
        driver: str = "",
        database: str | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        deadline_seconds: float = 30.0,
    ) -> str:
        """Start a backend in a process of its own, and return the URL at which it answers over HTTP.

        The backend has to listen on the port of 127.0.0.1 that replaces `{port}` in the command. The variable
        `url_variable` has the URL of its database, for `driver` (see `url`). It runs until the simulation is closed.
        It is restarted after a run that had no result, or that broke connections which its pool may still hold.

        Clients send it the headers of `identity`. Its sleeps, and its waits for its pool, pass in real time.

        Raises: ConfigurationError, with its last lines, if it does not answer within `deadline_seconds`.
        """
        served = Served(command, folder, deadline_seconds)
        url = self._url(driver, database, self._proxy.new_port(served))
        try:
            served.start({**(environment or {}), url_variable: url})
        except BaseException:
            self._proxy.forget_origin(served)
            raise
        self._resources.callback(served.close)
        self._served.append(served)
        return served.url

    def elsewhere(self, driver: str = "", *, database: str | None = None) -> str:
        """Return the URL by which a process of this machine that the simulation did not start connects to the gate."""
        return self._url(driver, database, self._proxy.new_port(Elsewhere()))

    def identity(self) -> dict[str, str]:
        """Return headers that name the calling client, for its requests to a backend in another process.

        Raises: ConfigurationError, if the caller is not a client.
        """
        client = current_client()
        if client is None:
            raise ConfigurationError("Only a client has an identity: ask for it in the function that is spawned.")
        return identity.headers(client.name)

    def _url(self, driver: str, database: str | None, port: int | None) -> str:
        server, folder = self._processes.server, quote(str(self._proxy.folder))
        name = quote(database or server.database, safe="")
        place = f"/{name}?host={folder}&port={PORT}" if port is None else f"127.0.0.1:{port}/{name}"
        login = f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"
        return f"postgresql{driver and '+'}{driver}://{login}@{place}"

    def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the event loop that all coroutine clients share. Make asyncpg's pools here.

        Raises: whatever the coroutine raises; ConfigurationError, during a run.
        """
        if self._running is not None:
            work.close()
            raise ConfigurationError("A run is under way. Call in_loop before it, or spawn a client.")
        found: T = self._in_a_loop(work)
        return found

    def _in_a_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop of all clients. The first call makes the loop."""
        if self._loop is None:
            self._loop = Loop()
            self._resources.callback(self._loop.close)
        return self._loop.run(work)

    def spawn(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Add a client to the next run: a function or a coroutine function, called with the arguments.

        Raises: ConfigurationError, if the name is taken or not allowed in a schedule.
        """
        if name in self._clients or not _NAME.fullmatch(name):
            found = "is taken" if name in self._clients else "has characters other than letters, digits, _, . and -"
            raise ConfigurationError(f"A client cannot be called {name!r}: the name {found}. Choose another.")
        self._clients[name] = partial(function, *arguments, **named)

    def run(
        self,
        strategy: Strategy,
        faults: Faults | None = None,
        *,
        before: Callable[[int], object] | None = None,
        inside: bool = True,
        observe: Callable[[str, str], object] | None = None,
    ) -> Result:
        """Run the clients that were spawned since the last run, until all have ended.

        `before` is called with the number of idle connections when they are as new, before any client begins. If not
        `inside`, no statement is stopped inside in this run. `observe` is called after each step with the client and
        the statement that it has executed. A written schedule injects its own faults, unless `faults` is given. An
        error that a client raises is the client's outcome, and not raised here.

        Raises: InconclusiveError where the run has no result; ScheduleError where a written schedule does not fit; the
        errors of the strategy; ConfigurationError within a run of the same simulation.
        """
        if self._running is not None:
            raise ConfigurationError("This simulation is in the middle of a run. Begin another one when it has ended.")
        clients, self._clients = self._clients, {}
        scheduler = Scheduler(
            self._processes,
            strategy,
            strategy if faults is None and isinstance(strategy, Schedule) else faults,
            clock=self.clock,
            proxy=self._proxy,
            in_a_loop=self._in_a_loop,
            stall_seconds=self._stall_seconds,
            deadline_seconds=self._deadline_seconds,
            inside=inside,
            observe=observe,
            locates_code=self.locates_code,
        )
        for name, function in clients.items():
            scheduler.spawn(name, function)
        self._begin(max(len(clients), self._connections))
        if before is not None:
            self._prepare(before)
        try:
            with ExitStack() as held:
                held.enter_context(no_collection())
                for points in self._proxy.trigger_points.values() if inside else ():
                    held.enter_context(points.holding())
                self._running = scheduler
                held.callback(self._ended)
                self._proxy.begin(scheduler)
                held.callback(self._proxy.end)
                result = scheduler.run()
                for served in self._served:
                    if ended := served.how_it_ended():
                        raise InconclusiveError(f"{ended}\nThis run says nothing.")
            # This drops the result of the run before, and with it connections that only its clients' values still held.
            # Closing those needs a relay.
            self._note(result)
            if result.schedule.faults:
                self._dispose()  # connections may be dead: the next run begins with new ones
            return result
        except BaseException as error:
            self._note(scheduler.result)
            if isinstance(error, InconclusiveError | ScheduleError):
                error.result = scheduler.result
            self._was_abandoned = True
            self._dispose()  # connections may be in the middle of a statement or transaction
            raise

    def _prepare(self, before: Callable[[int], object]) -> None:
        try:
            before(self._report_writes())
        except BaseException:
            self._dispose()  # it may be that no session can stay
            raise

    def _note(self, result: Result) -> None:
        self.last = result
        last_run.note(result)
        if self.trace is not None:
            self.trace.extend(result.trace)

    def _begin(self, connections: int) -> None:
        """Fill each pool with so many connections in the state of new ones, and close those that clients left open."""
        for served in self._served:
            if self._was_abandoned or self._proxy.is_worn(served) or served.how_it_ended():
                served.restart()
        self._was_abandoned = False
        pools = [one for one in self._attached if one.has_pool]
        idle = [found for one in pools for found in one.idle()]
        was_left = self._proxy.close_what_clients_left({found.session for found in idle})
        if was_left or not all(one.is_whole(connections) for one in pools) or not self._are_renewed(idle):
            self._dispose()
            for pid in self._proxy.take_closed():
                self._processes.require_gone(pid, "whose connection was closed")
            for one in pools:
                one.fill(connections)
            with self._proxy.quiet():
                self._idle = Sessions([found for one in pools for found in one.idle()])
        for one in pools:
            one.sort(self._idle.places)

    def locks(self, client: str) -> tuple[int | None, frozenset[tuple[str, bool]]]:
        """Return the pid of the session that a client of the run used last, and what it locks.

        That is each relation and advisory lock, and whether it is locked to do more than read.
        """
        pid = self._running.pid_of(client) if self._running is not None else None
        return pid, self._processes.locks(pid) if pid is not None else frozenset()

    def _report_writes(self) -> int:
        """Have the idle sessions report what they wrote to Postgres's statistics; return how many there are."""
        with self._proxy.quiet():
            idle = [found for one in self._attached if one.has_pool for found in one.idle()]
            report_writes([one.session for one in idle])
        return len(idle) + len(self._proxy.trigger_points)

    def _are_renewed(self, idle: list[Idle]) -> bool:
        with self._proxy.quiet():
            return self._idle.are_renewed(idle)

    def _ended(self) -> None:
        self._running = None

    def _refuse_others(self) -> None:
        """Refuse the run if the caller is not a client: its statements would be part of no schedule."""
        if self._running is not None:
            self._running.require_no_other()

    def _is_attached(self, pool: Pool) -> bool:
        return any(isinstance(one, AttachedEngine) and one.owns(pool) for one in self._attached)

    def _refuse_past_the_gate(self, client: Client) -> None:
        if self._running is not None:
            raise self._running.refuse(
                f"{client.name} has a connection that does not go through the gate, so its statements would be part of "
                "no schedule. Let it use the engine that is attached (explore hands it to each client), attach its "
                "own, or connect it to simulation.url()."
            )

    def _dispose(self) -> None:
        for attached in self._attached:
            attached.dispose()

    def close(self) -> None:
        """Close the engines' connections, and let their next ones bypass the gate again."""
        while self._attached:
            self._attached.pop().close()
        self._resources.close()
        self._loop = None
