"""A client of a simulation: one flow of control, which runs only when it has the turn."""

import asyncio
import contextvars
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from pgdst.errors import PgdstError
from pgdst.simulation.randomness import acting_as

if TYPE_CHECKING:
    from pgdst.simulation.clock import SimulatedClock
    from pgdst.simulation.connection import Gated
    from pgdst.simulation.faults import Fault
    from pgdst.simulation.gate.session import Session

BEGINS = "begins"
CHECKOUT = "checks a connection out"

_current: contextvars.ContextVar["Client | None"] = contextvars.ContextVar("client", default=None)


def current_client() -> "Client | None":
    """Return the client in whose flow of control this is called, endpoints that it asked included; else None."""
    return _current.get()


class AbandonedError(BaseException):
    """The run is over before its time, and this client with it. Not an Exception: no application may handle it."""


@dataclass(frozen=True)
class AtGate:
    """Before something that others may come before: a statement, a commit, a new connection.

    In a pipeline, which psycopg also uses for `executemany`, several statements are sent together.
    """

    what: str
    in_pipeline: bool = False

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Blocked:
    """In a statement that waits for a lock, as Postgres has proved: behind these backends."""

    backends: frozenset[int]

    def go_on(self, client: "Client") -> None:
        """Let the client go on when its wait is over: by itself, or by its session on the wire."""
        if client.session is None:
            client.wake()
        else:
            client.session.wait_is_over()


@dataclass(frozen=True)
class Waiting:
    """For something in the application: until it is so, or until so much has elapsed by the simulated clock.

    A sleep is one for which time may pass at any moment; a time-out passes only where nobody can go on.
    """

    what: str
    is_over: Callable[[], bool]
    clock: "SimulatedClock"
    until: timedelta | None
    is_sleep: bool

    def go_on(self, client: "Client") -> None:
        """Let the client go on from here."""
        client.wake()


@dataclass(frozen=True)
class Ended:
    """Returned or raised."""

    def go_on(self, client: "Client") -> None:
        """Do nothing: it cannot go on."""


Pause = AtGate | Blocked | Waiting | Ended


class Turns(Protocol):
    """What a client needs of the simulation that it is part of."""

    def take_back(self, client: "Client", pause: Pause) -> None:
        """Note that the client has stopped at this pause; it has no turn any more."""

    def whether_blocked(self, client: "Client") -> Blocked | None:
        """Ask Postgres whether the client's statement waits for a lock, and behind whom."""

    def uses(self, client: "Client", backend: int) -> None:
        """Note that a backend works for the client now."""

    def note_answer(self, client: "Client", what: str, answer: str) -> None:
        """Put what a statement came to into the trace."""

    def note_wait(self, client: "Client", what: str, blocker: int) -> None:
        """Put into the trace for whom the victim of a deadlock has waited."""

    def opened(self, client: "Client", connection: "Gated") -> None:
        """Note that the client has opened a connection."""

    def strike(self, client: "Client", fault: "Fault", backend: int) -> None:
        """Do what a fault does to a backend, or to the whole server, and return when it is done."""

    def no_connection_left(self) -> AbstractContextManager[None]:
        """Take all connections that the server has left, for a block."""

    def full_disk(self) -> str:
        """Return the path of a file, as the server knows it, which the server finds no room to write."""

    def closed(self, client: "Client", backend: int) -> None:
        """Return once the backend of a connection that the client has closed has ended, its locks released."""

    def refuse(self, why: str) -> PgdstError:
        """End the run, which says nothing, and return the error that it ends with."""

    def end_with(self, error: PgdstError) -> None:
        """End the run with this error, whatever the client makes of it."""


@dataclass
class Outcome:
    """What became of a client: the value that it returned, or what it raised."""

    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the value. Raises: what the client raised."""
        if self.error is not None:
            raise self.error
        return self.value

    def __str__(self) -> str:
        """Return it in words that the seed alone determines: no messages, which name processes and addresses."""
        if self.error is None:
            return "returned"
        state = _sqlstate(self.error) or _sqlstate(getattr(self.error, "orig", None))
        return f"raised {type(self.error).__name__}" + (f" {state}" if state else "")


def _sqlstate(error: BaseException | None) -> str | None:
    """Return an error's SQLSTATE, as psycopg and asyncpg call it, or psycopg2."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


class Client:
    """A named callable, or coroutine function, in a thread of its own."""

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        turns: Turns,
        in_a_loop: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run,
    ) -> None:
        self.name = name
        self._in_a_loop = in_a_loop
        self.pause: Pause | None = AtGate(BEGINS)  # None while it has the turn
        self.later: list[Pause] = []  # that it has come to, behind the one where it is
        self.backend: int | None = None  # the process of the connection that it used last
        self.session: Session | None = None  # on the wire, while a statement of its is under way there
        self.fault: Fault | None = None  # that strikes it when it goes on
        self.outcome = Outcome()
        self._function = function
        self._turns = turns
        self._turn = _Turn()
        self.is_abandoned = False
        self.is_the_kits_turn = False  # while the kit does something in its stead, as a fault
        self.has_gone_on_since = 0.0  # the end of the last such turn, in monotonic seconds
        self._last_thread: int | None = None
        self.thread = threading.Thread(target=self._run, name=f"pgdst-{name}", daemon=True)

    def give_turn(self) -> None:
        """Let it go on."""
        pause, self.pause = self.pause, None
        assert pause is not None
        pause.go_on(self)

    def wake(self) -> None:
        """Let its thread go on, which waits for its turn."""
        self._turn.give()

    def abandon(self) -> None:
        """Let it end: whatever it does next at a gate raises AbandonedError."""
        self.is_abandoned = True
        self._turn.give()

    def stop(self, pause: Pause) -> None:
        """Give the turn back and return when it is this client's again.

        Raises: AbandonedError, PgdstError.
        """
        self._give_back(pause)
        self._turn.wait()
        self._require_going_on()

    async def stop_async(self, pause: Pause) -> None:
        """Do the same in a coroutine, while its loop runs others."""
        self._give_back(pause)
        try:
            await self._turn.wait_async()
        except asyncio.CancelledError:
            self._turns.refuse(
                f"The client {self.name} was cancelled where it waited for its turn, {pause}, and went on without it. "
                "Leave out the time-out that passes in real time, or what else cancels it."
            )
            raise
        self._require_going_on()

    def take_fault(self) -> "Fault | None":
        """Return the fault that strikes it now, once."""
        fault, self.fault = self.fault, None
        return fault

    def suffers(self, fault: "Fault", connection: "Gated") -> None:
        """Have done what a fault does to the backend of its connection, or to the whole server."""
        self._turns.strike(self, fault, connection.standing.backend)

    @contextmanager
    def no_connection_left(self) -> Iterator[None]:
        """Take all connections that the server has left, for a block."""
        with self.ending_the_run(), self._turns.no_connection_left():
            yield

    def full_disk(self) -> str:
        """Return the path of a file, as the server knows it, which the server finds no room to write."""
        return self._turns.full_disk()

    def uses(self, connection: "Gated") -> None:
        """Note which connection it sends something through."""
        self.backend = connection.standing.backend
        connection.standing.is_a_clients = True
        self._turns.uses(self, connection.standing.backend)

    def asks_whether_blocked(self) -> Blocked | None:
        """Ask Postgres whether its statement waits for a lock, and behind whom."""
        with self.ending_the_run(takes_long=False):
            return self._turns.whether_blocked(self)

    @contextmanager
    def ending_the_run(self, *, takes_long: bool = True) -> Iterator[None]:
        """End the run with what the kit itself raises in this block: an application may handle any Exception.

        One that `takes_long` may last as long as the run: the client cannot help it.
        """
        before, self.is_the_kits_turn = self.is_the_kits_turn, takes_long
        try:
            yield
        except PgdstError as error:
            self._turns.end_with(error)
            raise
        finally:
            self.is_the_kits_turn = before
            if takes_long:
                self.has_gone_on_since = time.monotonic()

    def note_answer(self, what: str, answer: str) -> None:
        """Put what a statement came to into the trace."""
        self._turns.note_answer(self, what, answer)

    def note_wait(self, what: str, blocker: int) -> None:
        """Put into the trace for whom it has waited, as the victim of a deadlock."""
        self._turns.note_wait(self, what, blocker)

    def opened(self, connection: "Gated") -> None:
        """Note that it has opened a connection."""
        self.uses(connection)
        self._turns.opened(self, connection)

    def closed(self, backend: int) -> None:
        """Return once the backend of a connection that it has closed has ended, its locks released."""
        with self.ending_the_run():
            self._turns.closed(self, backend)

    def stack(self) -> str:
        """Return where the client is in Python: the thread it was last seen in, and its own."""
        frames = sys._current_frames()
        threads = dict.fromkeys([self._last_thread, self.thread.ident])
        return "\n".join("".join(traceback.format_stack(frames[one])) for one in threads if one in frames)

    def _give_back(self, pause: Pause) -> None:
        if self.is_abandoned:
            raise AbandonedError
        if self.pause is not None:
            raise self._turns.refuse(
                f"The client {self.name} is at two places at once: {pause} beside {self.pause}. "
                "Spawn a client for each flow of control; tasks and threads of one client cannot be scheduled."
            )
        self._last_thread = threading.get_ident()
        self._turns.take_back(self, pause)

    def _require_going_on(self) -> None:
        if self.is_abandoned:
            raise AbandonedError

    def _run(self) -> None:
        with self._as_current(), acting_as(self.name):
            try:
                self._turn.wait()
                self._require_going_on()
                value = self._function()
                if inspect.iscoroutine(value):
                    value = self._in_a_loop(value)
                self.outcome.value = value
            except BaseException as error:  # whatever it is, it is the client's outcome
                self.outcome.error = error
        self._turns.take_back(self, Ended())

    @contextmanager
    def _as_current(self) -> Iterator[None]:
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class _Turn:
    """A turn that one thread gives and another waits for, in a coroutine or not."""

    def __init__(self) -> None:
        self._given = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def give(self) -> None:
        with self._lock:
            self._given.release()
            if self._waiter is not None:
                loop, future = self._waiter
                loop.call_soon_threadsafe(_set, future)

    def wait(self) -> None:
        self._given.acquire()

    async def wait_async(self) -> None:
        while not self._given.acquire(blocking=False):
            loop = asyncio.get_running_loop()
            with self._lock:
                if self._given.acquire(blocking=False):
                    return
                self._waiter = loop, loop.create_future()
            try:
                await self._waiter[1]
            finally:
                self._waiter = None


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
