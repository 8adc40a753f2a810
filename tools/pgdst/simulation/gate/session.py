"""A driver's connection to the proxy, and the server's session behind it.

The state of a session (nothing sent, at a yield point, sent, answered, in a transaction, dead) follows from the run's
own steps. It never depends on what a driver or a socket has noticed by now.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pgdst.server import full_disk
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import YieldPoint
from pgdst.simulation.faults.kinds import RAISED, Fault
from pgdst.simulation.gate import attribution, protocol, time_outs
from pgdst.simulation.gate.batch import CANCELS, CLOSES, CONNECTS, ENDS, NOTHING, TERMINATE, Batch
from pgdst.simulation.gate.exchange import FAILED, IDLE, Answer, Exchange
from pgdst.simulation.gate.opening import Opening
from pgdst.simulation.gate.protocol import Message, ProtocolError
from pgdst.simulation.gate.run import Origin
from pgdst.simulation.gate.stream import Stream

if TYPE_CHECKING:
    from pgdst.simulation.gate.proxy import Proxy

_LOOP_SECONDS: Final = 1.0  # how long a blocked event loop is waited for
# Bytes of an answer that are kept until it is complete; the rest of a longer one is streamed.
_MOST_KEPT: Final = 64 * 2**20


@dataclass(frozen=True)
class SessionYieldPoint(YieldPoint):
    """Before a batch that has arrived on a session is sent."""

    session: "Session | None" = field(default=None, compare=False, repr=False)

    def go_on(self, client: Client) -> None:
        """Send the batch that waits at the gate."""
        assert self.session is not None
        self.session.go_on(client)
        if self.what == CLOSES.text:
            client.pause = client.later.pop(0)  # its own flow of control has come there already


class Session:
    """One connection of a driver, and the server's side of it. All methods run in the thread that relays."""

    def __init__(self, proxy: "Proxy", front: socket.socket, number: int, origin: Origin | None) -> None:
        self.number = number
        self.origin = origin  # another process
        self.owner = attribution.Owner()
        self._is_set_up = False
        self.pid = 0  # of the server process
        self.key = b""  # the body of BackendKeyData: the pid, and the secret for cancel requests
        self.is_open = False  # the server is ready for the first query
        self.is_dead = False  # the server's side has ended
        self.is_closed = False
        self.is_a_clients = False  # a client of a run has used it
        self.lent_to: Client | None = None  # the client that has taken it out of an attached pool
        self.thread: int | None = None  # in which it was taken out
        self.user: Client | None = None  # the client of the present or last statement
        self._proxy = proxy
        self._front = Stream(proxy, front, lambda: proxy.heard(self))
        self._back: Stream | None = None
        self._exchange = Exchange()
        self._opening = Opening()
        self._collected: list[Message] = []
        self._at_gate: Batch | None = None
        self._doing: Batch | None = None
        self._granted = 0  # the step in which it may execute what it has prepared
        self._loses_the_answer = False
        self.ended_by = ""  # the SQLSTATE by which the server has ended it while it was idle
        self._held = ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether the server has a request to answer, and needs nothing more from the driver for it."""
        return self._exchange.is_awaited

    @property
    def may_wait(self) -> bool:
        """Whether the statement under way may wait for a lock."""
        return self.is_open and self.is_awaited

    @property
    def is_idle(self) -> bool:
        """Whether the server waits for a request."""
        return self.is_open and not self.is_closed and not self._exchange.is_under_way

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._exchange.status != IDLE

    @property
    def is_being_set_up(self) -> bool:
        """Whether another process is still setting the connection up, and waits for an answer."""
        return self.origin is not None and not self._is_set_up and self.is_awaited and not self.is_closed

    @property
    def is_doubtful(self) -> str:
        """Why the client of its statements is uncertain, or ""."""
        return self.owner.doubt if self.origin is not None else ""

    @property
    def under_way(self) -> Batch:
        """The batch under way."""
        return self._doing or NOTHING

    @property
    def doing(self) -> str:
        """The statement under way, in words."""
        return self.under_way.what

    @property
    def statement(self) -> str:
        """The statement that is under way, without parameters."""
        return self.under_way.text

    @property
    def database(self) -> str:
        """The database that it is in."""
        return self._opening.database

    @property
    def cancels(self) -> "Session | None":
        """The session whose statement a cancel request is about, else None."""
        pid = self._opening.cancels
        return None if pid is None else self._proxy.session_of(pid)

    # From the driver.

    def go_through(self) -> None:
        """Take complete messages until a batch is under way. A driver that violates the protocol is disconnected."""
        try:
            while not self.is_closed and self._take_one():
                pass
            if self._front.has_hung_up and not self.is_closed:
                self._is_left_alone()
        except (ProtocolError, ValueError) as error:
            self._front.send(protocol.error("08P01", f"pgdst: {error}"))
            self.close()
        except Exception:  # a bug of the kit: the driver must not wait for an answer
            self.close()
            raise

    def _take_one(self) -> bool:
        if not self.is_open:
            return self._take_start()
        if self._exchange.ends_copy:
            return self._take_data()
        if self._at_gate is not None or self._exchange.is_under_way:
            return False
        message = self._front.arrived.take()
        if message is None:
            return False
        self._collected.append(message)
        if message.kind in ENDS:
            collected, self._collected = tuple(self._collected), []
            if message.kind == TERMINATE:
                self._is_left_alone()
            else:
                self._stop_or_go(self._exchange.statements.batch(collected, self._proxy.name))
        return True

    def _take_start(self) -> bool:
        if self._back is not None:  # the password, or another authentication message
            message = self._front.arrived.take()
            if message is not None:
                self._back.send(message.raw)
            return message is not None
        if (batch := self._opening.take(self._front)) is not None:
            self._stop_or_go(batch)
        return False

    def _take_data(self) -> bool:
        """Pass on COPY data from the driver, message by message."""
        message = self._front.arrived.take()
        if message is None or self._back is None:
            return False
        self._exchange.send_data(message)
        self._back.send(message.raw)
        return True

    def _stop_or_go(self, batch: Batch) -> None:
        """Send a batch on, or stop its client at a yield point."""
        run = self._proxy.run
        if run is None:
            self._begin(batch)
            return
        if self._sets_up(batch):
            self._begin(batch)
            return
        self._wait_until_client_is_quiet()
        client = attribution.whose(self, batch, run)
        if client is None:
            return  # the run is refused
        if self.is_open and self._passes(batch, client):
            if batch.runs and not batch.is_unseen:
                self._doing, self._granted = batch, 0
            self._is_used_by(client)
            self._forward(batch)
            return
        self._at_gate = batch
        can_fail = not batch.is_pipeline and self._exchange.status != FAILED
        run.stop(client, SessionYieldPoint(batch.text, can_fail, session=self))

    def _wait_until_client_is_quiet(self) -> None:
        """Let the client's event loop, or process, do all that it can, so that messages of other tasks arrive now."""
        if self.origin is not None:
            self.origin.wait_until_quiet()
        elif self._loop is None:
            return
        else:
            try:
                done = threading.Event()
                self._loop.call_soon_threadsafe(self._loop.call_soon, done.set)
                done.wait(_LOOP_SECONDS)
            except RuntimeError:  # it is closed
                self._loop = None
        self._proxy.hear_more()

    def _sets_up(self, batch: Batch) -> bool:
        """Return whether another process is setting a connection up. Its pool does so at any time, for no client."""
        if self.origin is None or batch is CANCELS or self._is_set_up:
            return False
        sets_up = batch is CONNECTS or batch.is_unseen or attribution.sets_up(batch)
        self._is_set_up = not sets_up
        return not self._is_set_up

    def _passes(self, batch: Batch, client: Client) -> bool:
        """Return whether the client has had its yield point for the batch: Parse and the Execute after it share one."""
        if batch.is_unseen or not (batch.runs or b"P" in batch.kinds):
            return True
        return self.user is client and self._granted == self._proxy.run_of_now.number

    # To the server.

    def go_on(self, client: Client) -> None:
        """Send the batch that waits at the gate, as its client has the turn."""
        batch, self._at_gate = self._at_gate, None
        assert batch is not None
        run = self._proxy.run_of_now
        if batch is CLOSES:
            self.close(by_driver=True)
            return
        self.user = client
        if not self.is_open:
            if batch is CONNECTS and client.take_fault() is Fault.TOO_MANY:
                self._held.enter_context(run.no_connection_left())
            client.session = self
            if batch is CANCELS:
                self._doing = batch
            self._begin(batch)
            return
        self._is_used_by(client)
        self._doing, self._granted = batch, 0 if batch.runs else run.number
        fault = client.take_fault()
        if fault is None or not self._suffers(client, batch, fault):
            self._forward(batch)

    def _is_used_by(self, client: Client) -> None:
        self.user, client.session = client, self
        self.is_a_clients = self.origin is None  # else the other process's pool keeps it
        self._proxy.run_of_now.uses(client, self.pid)

    def _suffers(self, client: Client, batch: Batch, fault: Fault) -> bool:
        """Inject a fault; return whether the batch must not be sent any more."""
        run = self._proxy.run_of_now
        if self.is_dead and fault is not Fault.CRASH:
            return False
        if fault in RAISED:
            assert self._back is not None
            self._back.send(self._exchange.ask_to_raise(batch, fault, _statement_that_raises(fault, run.full_disk())))
            return True
        if fault in (Fault.LOST, Fault.COMMIT_UNDONE):
            self._lose(fault)
            return True
        if fault is Fault.COMMIT_DONE:
            self._loses_the_answer = True
            return False
        run.inject(client, fault, self.pid)
        return False

    def _begin(self, batch: Batch) -> None:
        """Send a batch, or the first packet, without a yield point."""
        if self.is_open:
            self._forward(batch)
            return
        try:
            self._back = Stream(self._proxy, self._proxy.to_server(), self._hear_server)
        except OSError as error:
            self._front.send(protocol.error("08001", f"pgdst: the run's server cannot be reached: {error}"))
            self.close()
            return
        if batch is CONNECTS:
            self._exchange.begin()
        self._back.send(self._opening.packet(self._proxy.trigger_points))

    def _forward(self, batch: Batch) -> None:
        # Also if the session is dead: `close` would take its last answer for that of this batch.
        asked = self._exchange.ask(batch)
        if self.is_dead or self._back is None:
            self.close()
            return
        self._back.send(asked)
        if not self._exchange.is_under_way:
            self._answered()

    # From the server.

    def _hear_server(self) -> None:
        assert self._back is not None
        if not self._back.has_hung_up:
            self.take_answer()
            return
        self.is_dead = True
        run = self._proxy.run
        if run is None or not self.is_open or self.is_awaited:
            self.take_answer()
            self.close()
        else:  # the driver learns of it at its next request: at any earlier moment it would depend on timing
            self._has_ended()

    def wait_is_over(self) -> None:
        """Take the answer that has arrived, as the wait for a lock is over."""
        if self._granted:  # the Parse waited; the Execute after it needs no new yield point
            self._granted = self._proxy.run_of_now.number
        self.take_answer()
        if self.is_dead and self.is_awaited:
            self.close()

    def take_answer(self) -> None:
        """Take messages of the server. The driver gets an answer when it is complete."""
        if self._back is None:
            return
        try:
            for message in self._back.arrived:
                self._hear(message)
                if self.is_closed:
                    return
        except ProtocolError:
            self.close()
            return
        copies = bool(self._exchange.ends_copy)
        if self._proxy.run is None or not self.is_open or copies or len(self._exchange.kept) > _MOST_KEPT:
            self._pass_on()
        if copies:
            self.go_through()  # some drivers send the data before the server asks for it

    def _hear(self, message: Message) -> None:
        if not self.is_open:
            self._hear_at_start(message)
            return
        if message.kind == b"E" and self.is_idle:
            self._has_ended(protocol.error_fields(message.body).get("C", ""))
        is_complete = self._exchange.hear(message)
        if message.kind == b"E" and self._proxy.run is not None:
            answer = self._exchange.answer
            if why := time_outs.refusal(answer.state, answer.said, self.doing if self._doing else "a session"):
                self._proxy.run.refuse(why)
        if is_complete:
            self._answered()

    def _has_ended(self, state: str = "") -> None:
        """Note that the server has ended the session, by itself or as a client has told it to."""
        self.ended_by = self.ended_by or state
        if self._proxy.run is not None and self not in self._proxy.ended:
            self._proxy.ended.append(self)

    def _hear_at_start(self, message: Message) -> None:
        """Take a message that comes before the first query, and pass it on at once: authentication is a dialogue."""
        if message.kind == b"K":
            self.pid, self.key = int.from_bytes(message.body[:4]), message.body
            self._proxy.known(self)
            self._opening.is_served_by(self.pid)
        elif message.kind == b"Z":
            self._opens()
        self._exchange.hear_last(message)
        self._pass_on()
        if message.kind == b"E":
            self.close()  # the server does so too, but at an unknown time
        elif self.is_open:
            self.go_through()

    def _opens(self) -> None:
        self.is_open = True
        self._exchange.has_begun()
        self._held.close()
        run, client = self._proxy.run, self.user
        if run is not None:
            run.opened(self.pid)
        if run is not None and client is not None:
            client.session = None
            self.is_a_clients = True
            run.uses(client, self.pid)
            run.note_answer(client, CONNECTS, "done", Answer())

    def _answered(self) -> None:
        if self._loses_the_answer:
            self._lose(Fault.COMMIT_DONE)
            return
        run, doing = self._proxy.run, self._doing
        if wrong := self._exchange.end():
            self._proxy.run_of_now.refuse(wrong)
        if run is not None and doing is not None and (doing.runs or self._exchange.answer.state):
            self._note(self._exchange.answer.in_words())
            self._granted = 0
        self._pass_on()
        self.go_through()

    def _note(self, words: str) -> None:
        """Put the result of the statement under way into the trace."""
        run, client, doing = self._proxy.run, self.user, self._doing
        self._doing = None
        if run is None or client is None or doing is None:
            return
        client.session = None
        if (blocker := self._exchange.answer.waited_for) is not None:
            run.note_wait(client, doing, blocker)
        run.note_answer(client, doing, words, self._exchange.answer)

    def _pass_on(self) -> None:
        if not self.is_closed:
            self._front.send(self._exchange.take_kept())

    # The kit's own requests, while the session is idle.

    @property
    def is_synced(self) -> bool:
        """Whether the server's last message was ReadyForQuery, so that it may get a Sync of the kit's."""
        return self._exchange.is_synced

    @property
    def server(self) -> Stream:
        """The server's side. Raises: OSError, if it is closed."""
        if self._back is None:
            raise ConnectionResetError("the session has ended")
        return self._back

    def tell(self, message: Message) -> None:
        """Pass a message of the server on to the driver with its next answer."""
        self._exchange.kept += message.raw

    def hear_the_end(self, messages: Sequence[Message]) -> None:
        """Take the last messages of a session that the server has ended."""
        for message in messages:
            self._hear(message)

    def lend(self, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note which client has taken the connection out of its pool; None: it is back, or was taken by no client.

        `loop` is the event loop in which the client uses it, if any.
        """
        self.lent_to, self._loop = client, loop
        self.thread = threading.get_ident() if client is not None else None

    # The end.

    def _lose(self, fault: Fault) -> None:
        """Break the connection. The driver learns of it after the server process has ended."""
        client, run = self.user, self._proxy.run_of_now
        assert client is not None
        self._close_back()
        run.inject(client, fault, self.pid)
        self._exchange.take_kept()
        self._note("connection lost")
        self.close()

    def run_has_ended(self) -> None:
        """Leave the run that has ended. A connection that still waits at a yield point is closed."""
        if self._at_gate is not None or self._collected:
            self.close()
        if self.user is not None:
            self.user.session = None
        self.user = None
        self.owner = attribution.Owner()
        self._granted = 0
        if not self.is_awaited:
            self._pass_on()

    def bury(self, *, unheard: bool) -> None:
        """Read the last messages of a session whose server process has ended, so that its state is final."""
        if self._back is not None:
            self._back.take_the_rest(unheard=unheard)
        self._close_back()

    def _close_back(self) -> None:
        self.is_dead = True
        if self._back is not None:
            self._back.close()

    def close(self, *, by_driver: bool = False) -> None:
        """Close both sides. If the driver has closed it in a run, return after its locks are released."""
        if self.is_closed:
            return
        self._held.close()
        run, was_open = self._proxy.run, self.is_open and not self.is_dead
        if not by_driver:
            self._say_last_words()
        if self.user is not None and self.user.session is self:
            self.user.session = None
        self.is_closed = True
        self._front.close()
        self._close_back()
        self._proxy.gone(self)
        if by_driver and was_open and run is not None and run.turn is not None:
            run.closed(run.turn, self.pid)

    def _say_last_words(self) -> None:
        if self._back is not None:
            with suppress(ProtocolError):
                for message in self._back.arrived:
                    self._exchange.hear_last(message)
        if self._doing is not None:
            state = self._exchange.answer.state or self.ended_by
            self._note("done" if self._doing is CANCELS else state or "connection lost")
        self._pass_on()

    def _is_left_alone(self) -> None:
        """Close a session whose driver has gone. In a run this is a step of its own, as it may release locks."""
        run = self._proxy.run
        # A pool of another process may close an idle connection at any time.
        is_idle = self.origin is not None and not self.is_in_transaction
        if run is None or run.turn is None or not self.is_open or self.is_dead or self.is_awaited or is_idle:
            self.close(by_driver=True)
        elif self._at_gate is None:
            self._front.close()
            self._at_gate = CLOSES
            run.leaves(SessionYieldPoint(CLOSES.text, session=self))


def _statement_that_raises(fault: Fault, full: str) -> str:
    """Return a statement that raises the fault's SQLSTATE; `full` is a file to which every write fails."""
    if fault is Fault.DISK_FULL:
        return full_disk.write_to(full)
    return f"DO $$ BEGIN RAISE 'pgdst: {fault}' USING ERRCODE = '{RAISED[fault]}'; END $$"
