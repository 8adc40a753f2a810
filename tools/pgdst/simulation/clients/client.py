"""A client of a simulation: one flow of control, which runs only when it has the turn."""

import asyncio
import contextvars
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pgdst.errors import PgdstError
from pgdst.simulation.clients.ids import acting_as
from pgdst.simulation.clients.yield_points import BEGINS, Ended, Pause, YieldPoint

if TYPE_CHECKING:
    from pgdst.simulation.faults.kinds import Fault
    from pgdst.simulation.gate.session import Session


_current: contextvars.ContextVar["Client | None"] = contextvars.ContextVar("client", default=None)


def current_client() -> "Client | None":
    """Return the client in whose flow of control this is called, endpoints that it asked included; else None."""
    return _current.get()


class AbandonedError(BaseException):
    """The run is over before its time, and this client with it. Not an Exception: no application may handle it."""


class Turns(Protocol):
    """What a client needs of the simulation that it is part of."""

    def take_back(self, client: "Client", pause: Pause) -> None:
        """Note that the client has stopped at this pause; it has no turn any more."""

    def refuse(self, why: str) -> PgdstError:
        """End the run, which says nothing, and return the error that it ends with."""


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
        state = sqlstate(self.error) or sqlstate(getattr(self.error, "orig", None))
        return f"raised {type(self.error).__name__}" + (f" {state}" if state else "")


def sqlstate(error: BaseException | None) -> str | None:
    """Return an error's SQLSTATE, as psycopg and asyncpg call it, or psycopg2, or pg8000."""
    fields = error.args[0] if error is not None and error.args else None
    told = fields.get("C") if isinstance(fields, dict) else None
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or told


class Client:
    """A named callable, or coroutine function, in a thread of its own."""

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        turns: Turns,
        in_a_loop: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        self.name = name
        self._in_a_loop = in_a_loop
        self.pause: Pause | None = YieldPoint(BEGINS)  # None while it has the turn
        self.later: list[Pause] = []  # that it has come to, behind the one where it is
        self.pid: int | None = None  # the process of the connection that it used last
        self.session: Session | None = None  # on the wire, while a statement of its is under way there
        self.fault: Fault | None = None  # that strikes it when it goes on
        self.outcome = Outcome()
        self._function = function
        self._turns = turns
        self._turn = _Turn()
        self.is_abandoned = False
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
