"""A client of a simulation: one flow of control that runs only when it has the turn."""

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
from pgdst.simulation.clients import code
from pgdst.simulation.clients.code import Code
from pgdst.simulation.clients.ids import acting_as
from pgdst.simulation.clients.yield_points import BEGINS, Ended, Pause, YieldPoint

if TYPE_CHECKING:
    from pgdst.simulation.faults.kinds import Fault
    from pgdst.simulation.gate.session import Session


_current: contextvars.ContextVar["Client | None"] = contextvars.ContextVar("client", default=None)


def current_client() -> "Client | None":
    """Return the client that calls this, directly or in an endpoint that it has called; None outside of clients."""
    return _current.get()


class AbandonedError(BaseException):
    """The run was abandoned, so this client ends too. Not an Exception, so that no application handles it."""


class Turns(Protocol):
    """The parts of the scheduler that a client calls."""

    def take_back(self, client: "Client", pause: Pause) -> None:
        """Note that the client has stopped at this pause, and take its turn back."""

    def refuse(self, why: str) -> PgdstError:
        """End the run without a result, and return the error that it ends with."""


@dataclass
class Outcome:
    """The outcome of a client: the value that it returned, or the error that it raised."""

    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the value. Raises: the client's error."""
        if self.error is not None:
            raise self.error
        return self.value

    def __str__(self) -> str:
        """Return it in words that the seed alone determines: messages are left out, as they name pids and addresses."""
        if self.error is None:
            return "returned"
        state = sqlstate(self.error) or sqlstate(getattr(self.error, "orig", None))
        return f"raised {type(self.error).__name__}" + (f" {state}" if state else "")


def sqlstate(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an error of psycopg, asyncpg, psycopg2 or pg8000, or None if it has none."""
    fields = error.args[0] if error is not None and error.args else None
    told = fields.get("C") if isinstance(fields, dict) else None
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or told


class Client:
    """A named function, or coroutine function, in a thread of its own."""

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
        self.later: list[Pause] = []  # pauses that it has come to meanwhile, after the present one
        self.pid: int | None = None  # the process of the connection that it used last
        self.session: Session | None = None  # the one on which a statement of the client is under way
        self.code: Code | None = None  # where it has stopped in the user's code
        self.fault: Fault | None = None  # the fault that hits it when it goes on
        self.outcome = Outcome()
        self._function = function
        self._turns = turns
        self._turn = _Turn()
        self.is_abandoned = False
        self._last_thread: int | None = None
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self.thread = threading.Thread(target=self._run, name=f"pgdst-{name}", daemon=True)

    def give_turn(self) -> None:
        """Let it go on."""
        pause, self.pause = self.pause, None
        assert pause is not None
        pause.go_on(self)

    def wake(self) -> None:
        """Wake its thread, which waits for the turn."""
        self._turn.give()

    def abandon(self) -> None:
        """Make it end: its next use of the gate raises AbandonedError."""
        self.is_abandoned = True
        self._turn.give()

    def stop(self, pause: Pause) -> None:
        """Give the turn back, and return when the client has it again.

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
                "Remove the real-time time-out, or whatever else cancels it."
            )
            raise
        self._require_going_on()

    def take_fault(self) -> "Fault | None":
        """Return the fault that hits the client now, and forget it."""
        fault, self.fault = self.fault, None
        return fault

    def stack(self) -> str:
        """Return the Python stacks of the thread in which the client was seen last, and of its own thread."""
        frames = sys._current_frames()
        threads = dict.fromkeys([self._last_thread, self.thread.ident])
        return "\n".join("".join(traceback.format_stack(frames[one])) for one in threads if one in frames)

    def place(self, thread: int | None) -> Code | None:
        """Return the line of the user's code at which it has stopped; `thread` is one that works for it, if any."""
        if self._coroutine is not None:
            return code.of_coroutine(self._coroutine)
        return code.of_thread(thread, self._last_thread, self.thread.ident)

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
                    self._coroutine = value
                    value = self._in_a_loop(value)
                self.outcome.value = value
            except BaseException as error:  # any error is the client's outcome
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
    """A turn: one thread gives it, another waits for it, with or without a coroutine."""

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
