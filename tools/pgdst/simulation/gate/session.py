"""A driver's connection to the proxy, and the server's session behind it.

What state it is in is the run's own knowledge: nothing sent, at the gate, sent, answered, in a transaction, dead. What
a driver or a socket knows at that moment decides nothing.
"""

import asyncio
import hashlib
import re
import socket
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg

from pgdst.simulation.client import AtGate, Client
from pgdst.simulation.faults import RAISED, Fault
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import ENDS, TERMINATE, Batch, Statements
from pgdst.simulation.gate.protocol import Message, Messages, ProtocolError
from pgdst.simulation.parking import SETTING, Parking
from pgdst.simulation.striking import ABORTED, statement_that_raises

if TYPE_CHECKING:
    from pgdst.simulation.gate.proxy import Proxy

# Settings that a run needs, whatever the driver: how a prepared statement is planned depends on no history.
_SETTINGS: Final = {"plan_cache_mode": "force_custom_plan"}
_IDLE: Final = b"I"
_LOOP_SECONDS: Final = 1.0  # a loop that somebody blocks is waited for no longer
_CHUNK: Final = 262_144
_ANSWER_SECONDS: Final = 10
# So much of an answer is kept until it is whole; a longer one streams from then on.
_MOST_KEPT: Final = 64 * 2**20
# Answers to a message each, where a driver has asked by Flush and no ReadyForQuery ends them.
_REPLIES: Final = b"123TnCIs"
_WANT_REPLIES: Final = b"PBCDE"
_END_OF_COPY: Final = b"cf"
_BLOCKED_BY: Final = re.compile(r"blocked by process (\d+)")


# What is no message.
_CONNECTS: Final = Batch((), "connect")
_CANCELS: Final = Batch((), "cancel")
_CLOSES: Final = Batch((), "close")


@dataclass(frozen=True)
class AtWire(AtGate):
    """Before what has arrived on a session."""

    session: "Session | None" = field(default=None, compare=False, repr=False)

    def go_on(self, client: Client) -> None:
        """Send what is at the gate."""
        assert self.session is not None
        self.session.go_on(client)
        if self.what == _CLOSES.what:
            client.pause = client.later.pop(0)  # its own flow of control has come there before


@dataclass
class _Answer:
    """What the server has said since it was asked, as far as the trace tells it."""

    tag: str = ""
    state: str = ""
    said: str = ""  # with it
    waited_for: int | None = None
    rows: "hashlib._Hash | None" = None

    def in_words(self) -> str:
        """Return it for the trace: SQLSTATE, or the tag with a hash of the rows."""
        if self.state:
            return self.state
        digest = f" #{self.rows.hexdigest()[:8]}" if self.rows is not None else ""
        return f"{self.tag or 'done'}{digest}"


class Session:
    """One connection of a driver's, and the server's side of it. All of it runs in the thread that relays."""

    def __init__(self, proxy: "Proxy", front: socket.socket, number: int) -> None:
        self.number = number
        self.backend = 0  # the server's process
        self.key = b""  # it, and the secret by which what it does can be cancelled
        self.database = ""
        self.is_open = False  # the server has said that it is ready for the first query
        self.is_dead = False  # the server's side has ended
        self.is_closed = False
        self.lent_to: Client | None = None  # by a pool that says so
        self._proxy = proxy
        self._front = front
        self._back: socket.socket | None = None
        self._from_front, self._from_back = Messages(), Messages()
        self._to_front, self._to_back = bytearray(), bytearray()
        self._collected: list[Message] = []
        self._statements = Statements()
        self._status = _IDLE
        self._at_gate: Batch | None = None
        self._start: protocol.Start | None = None
        self._owed = 0  # ReadyForQuery
        self._replies = 0  # answers to single messages
        self._passes_over = False  # the server does so, as there was an error and no Sync since
        self._copies = b""  # the kinds of message that end the data of a COPY, while it lasts
        self._kept = bytearray()  # of the answer
        self._answer = _Answer()
        self._doing: Batch | None = None
        self._user: Client | None = None  # whose statement is under way, or was last
        self._granted = 0  # the step in which it may execute what it has prepared
        self._drops = False  # the answer is lost
        self._raises: Fault | None = None  # in place of the batch
        self._has_hung_up = False
        self.is_a_clients = False  # a client of a run has used it
        self._held = ExitStack()
        self._parking: Parking | None = None  # in which it has a place
        self._place = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        front.setblocking(False)
        proxy.watch(front, self._read_front)

    @property
    def is_awaited(self) -> bool:
        """Whether the server has been asked for something, and has not answered yet."""
        return self._owed + self._replies > 0 and not self._copies

    @property
    def may_wait(self) -> bool:
        """Whether what the server was asked for may wait for a lock."""
        return self.is_open and self.is_awaited

    # From the driver.

    def _read_front(self) -> None:
        data = _received(self._front)
        if data is None:
            return
        self._has_hung_up = not data
        self._from_front.feed(data)
        self._proxy.heard(self)

    def go_through(self) -> None:
        """Take what has arrived whole, as long as nothing is under way. A peer that breaks the protocol is let go."""
        try:
            while not self.is_closed and self._take_one():
                pass
            if self._has_hung_up and not self.is_closed:
                self._is_left_alone()
        except (ProtocolError, ValueError) as error:
            self._say(protocol.error("08P01", f"pgdst: {error}"))
            self.close()

    def _take_one(self) -> bool:
        if not self.is_open:
            return self._take_start()
        if self._copies:
            return self._take_data()
        if self._at_gate is not None or self._owed or self._replies:
            return False
        message = self._from_front.take()
        if message is None:
            return False
        self._collected.append(message)
        if message.kind in ENDS:
            collected, self._collected = tuple(self._collected), []
            self._arrived(collected)
        return True

    def _take_start(self) -> bool:
        if self._back is not None:  # the password, or what an authentication says else
            message = self._from_front.take()
            if message is not None:
                self._send(message.raw)
            return message is not None
        body = self._from_front.take_start() if self._start is None else None
        if body is None:
            return False
        asked = protocol.parse_start(body)
        if asked.code in (protocol.SSL, protocol.GSS):
            self._say(b"N")
            return True
        if asked.code != protocol.CANCEL and not asked.is_session:
            raise ProtocolError(f"protocol {asked.code >> 16}.{asked.code & 0xFFFF} is not spoken here, but 3.0")
        if asked.settings.get("replication", "off") not in ("off", "false", "no", "0"):
            raise ProtocolError("replication does not go through a simulation")
        self._start = asked
        self.database = asked.settings.get("database") or asked.settings.get("user", "")
        self._stop_or_go(_CANCELS if asked.code == protocol.CANCEL else _CONNECTS)
        return False

    def _take_data(self) -> bool:
        """Pass on what a COPY takes from the driver, as it comes."""
        message = self._from_front.take()
        if message is None:
            return False
        if message.kind in self._copies:
            self._copies = b""
        self._send(message.raw)
        return True

    def _arrived(self, messages: tuple[Message, ...]) -> None:
        if messages[-1].kind == TERMINATE:
            self._is_left_alone()
            return
        self._stop_or_go(self._statements.batch(messages, self._proxy.name))

    def _stop_or_go(self, batch: Batch) -> None:
        """Let it pass, or stop its client at the gate."""
        run = self._proxy.run
        if run is None:
            self._begin(batch)
            return
        self._wait_for_the_loop()
        client = self._whose(batch)
        if client is None:
            return  # the run is refused
        if self.is_open and self._passes(batch, client):
            if batch.runs and not batch.is_unseen:
                self._doing, self._granted = batch, 0
            self._is_used_by(client)
            self._forward(batch)
            return
        self._at_gate = batch
        run.stop(client, AtWire(batch.what, in_pipeline=batch.is_pipeline, session=self))

    def _wait_for_the_loop(self) -> None:
        """Have the client's event loop do all that it can: what another task of its has to say is said now."""
        if self._loop is not None:
            try:
                done = threading.Event()
                self._loop.call_soon_threadsafe(self._loop.call_soon, done.set)
                done.wait(_LOOP_SECONDS)
            except RuntimeError:  # it is closed
                self._loop = None
            self._proxy.hear_more()

    def _passes(self, batch: Batch, client: Client) -> bool:
        """Return whether its client was let go on for it: there is one stop from Parse to the Execute after it."""
        if batch.is_unseen or not (batch.runs or b"P" in batch.kinds):
            return True
        return self._user is client and self._granted == self._proxy.run_of_now.number

    def _whose(self, batch: Batch) -> Client | None:
        """Return the client whose it is: who has the turn, where it is no other's. Else refuse the run."""
        run = self._proxy.run_of_now
        turn = run.turn
        known = self.lent_to or (self._user if self._status != _IDLE else None) or self._cancels_for()
        is_elsewhere = turn is not None and turn.session not in (None, self) and turn.session.is_awaited
        if turn is None or turn.pause is not None or known not in (None, turn) or is_elsewhere:
            run.refuse(self._refusal(batch, known or turn, turn))
            return None
        return turn

    def _refusal(self, batch: Batch, whose: Client | None, turn: Client | None) -> str:
        if whose is None:
            return f"Nobody had the turn when somebody who is no client sent {batch.what}. Spawn a client for it."
        if batch is _CANCELS:
            return (
                f"The client {whose.name} cancelled a statement out of its turn, as a time-out in real time does. "
                "Leave out the time-out, or what else cancels it."
            )
        at = whose.pause or (whose.session.doing if whose.session is not None else "what its code does")
        beside = f" while {turn.name} has the turn" if turn is not None and turn is not whose else ""
        return (
            f"The client {whose.name} is at two places at once{beside}: {batch.what} beside {at}. "
            "Spawn a client for each flow of control; tasks and threads of one client cannot be scheduled."
        )

    @property
    def doing(self) -> str:
        """What is under way, in words."""
        return self._doing.what if self._doing is not None else "nothing"

    def _cancels_for(self) -> Client | None:
        """Return the client whose statement this is to cancel, if it is such a request."""
        if self._start is None or self._start.code != protocol.CANCEL:
            return None
        target = self._proxy.session_of(int.from_bytes(self._start.rest[:4]))
        return None if target is None else target.lent_to or target._user

    # To the server.

    def go_on(self, client: Client) -> None:
        """Send what is at the gate: its client has the turn."""
        batch, self._at_gate = self._at_gate, None
        assert batch is not None
        run = self._proxy.run_of_now
        if batch is _CLOSES:
            self.close(by_driver=True)
            return
        self._user = client
        if not self.is_open:
            if batch is _CONNECTS and client.take_fault() is Fault.TOO_MANY:
                self._held.enter_context(run.no_connection_left())
            client.session = self
            if batch is _CANCELS:
                self._doing = batch
            self._begin(batch)
            return
        self._is_used_by(client)
        self._doing, self._granted = batch, 0 if batch.runs else run.number
        fault = client.take_fault()
        if fault is not None and self._suffers(client, batch, fault):
            return
        self._forward(batch)

    def _is_used_by(self, client: Client) -> None:
        self._user, client.session = client, self
        self.is_a_clients = True
        self._proxy.run_of_now.uses(client, self.backend)

    def _suffers(self, client: Client, batch: Batch, fault: Fault) -> bool:
        """Do what a fault does; return whether nothing is left to be sent."""
        run = self._proxy.run_of_now
        if self.is_dead and fault is not Fault.CRASH:
            return False
        if fault in RAISED:
            self._raise(batch, fault, statement_that_raises(fault, run.full_disk()))
            return True
        if fault in (Fault.LOST, Fault.COMMIT_UNDONE):
            self._lose(fault)
            return True
        if fault is Fault.COMMIT_DONE:
            self._drops = True
            return False
        run.strike(client, fault, self.backend)
        return False

    def _begin(self, batch: Batch) -> None:
        """Send it, be it the first packet."""
        if self.is_open:
            self._doing = batch
            self._forward(batch)
            return
        assert self._start is not None
        try:
            self._back = self._proxy.to_server()
        except OSError as error:
            self._say(protocol.error("08001", f"pgdst: the run's server cannot be reached: {error}"))
            self.close()
            return
        self._proxy.watch(self._back, self._read_back)
        if self._start.code == protocol.CANCEL:
            self._send(protocol.request(protocol.CANCEL, self._start.rest))
            return
        self._owed = 1
        self._parking = self._proxy.parkings.get(self.database)
        place = {} if self._parking is None else {SETTING: str(self._parking.new_place())}
        self._place = int(place.get(SETTING, 0))
        self._send(protocol.start(self._start.code, {**self._start.settings, **_SETTINGS, **place}))

    def _forward(self, batch: Batch) -> None:
        if self.is_dead:
            self.close()
            return
        # After an error, the server passes over everything up to the next Sync.
        self._owed = batch.counted(b"S" if self._passes_over else b"QSF")
        self._replies = 0 if self._owed or self._passes_over else batch.counted(_WANT_REPLIES)
        self._send(batch.raw)
        if not self._owed and not self._replies:
            self._answered()

    def _raise(self, batch: Batch, fault: Fault, statement: str) -> None:
        """Let the server raise an error in place of the batch, which ends as the batch would: by Sync or Flush."""
        flushes = batch.kinds.endswith(b"H")
        each = [statement] if statement.startswith("DO") else statement.split("; ")
        raw = b""
        for one in each:
            raw += Message(b"P", b"\0" + one.encode() + b"\0\0\0").raw
            raw += Message(b"B", bytes(8)).raw + Message(b"E", bytes(5)).raw
        raw += Message(b"H" if flushes else b"S", b"").raw
        self._raises, self._owed = fault, int(not flushes)
        self._replies = 3 * len(each) if flushes else 0
        if batch.what == "COMMIT":
            raw, self._owed = raw + protocol.query("ROLLBACK"), self._owed + 1
        self._send(raw)

    def _send(self, raw: bytes) -> None:
        """Send to the server as far as it takes it; the rest when it does."""
        self._to_back += raw
        self._flush_back()

    def _flush_back(self) -> None:
        if self._back is not None and not _sent(self._back, self._to_back):
            self._proxy.watch_to_write(self._back, self._flush_back)

    # From the server.

    def _read_back(self) -> None:
        assert self._back is not None
        data = _received(self._back)
        if data is None:
            return
        if data:
            self._from_back.feed(data)
            self.take_answer()
            return
        self._proxy.forget(self._back)
        self.is_dead = True
        run = self._proxy.run
        if run is None or not self.is_open or self.is_awaited:
            self.take_answer()
            self.close()
        # Else its driver finds out when it next asks for something: not sooner, as that would depend on time.

    def wait_is_over(self) -> None:
        """Take what has arrived, the wait for a lock being over."""
        if self._granted:  # it waited where it was prepared, and is executed now
            self._granted = self._proxy.run_of_now.number
        self.take_answer()
        if self.is_dead and self.is_awaited:
            self.close()

    def take_answer(self) -> None:
        """See how far the answer is; when it is whole, the driver gets it."""
        try:
            for message in self._from_back:
                self._hear(message)
                if self.is_closed:
                    return
        except ProtocolError:
            self.close()
            return
        run = self._proxy.run
        if run is None or not self.is_open or self._copies or len(self._kept) > _MOST_KEPT:
            self._pass_on()
        if self._copies:
            self.go_through()  # some send the data before they are asked for it

    def _hear(self, message: Message) -> None:
        was_asked = self._owed + self._replies > 0
        kind = message.kind
        # Of an error that is raised in place of the batch, the driver hears that and one end.
        if not self._raises or kind == b"E" or (kind == b"Z" and self._owed == 1):
            self._kept += message.raw
        if kind == b"Z":
            self._owed -= 1
            self._status = message.body
            self._passes_over = False
            if not self.is_open:
                self._opened()
                return
        elif not self.is_open:
            self._hear_at_start(message)
        else:
            self._hear_part(kind, message.body)
        if was_asked and self._owed <= 0 and self._replies <= 0:
            self._answered()

    def _hear_part(self, kind: bytes, body: bytes) -> None:
        if kind in _REPLIES:
            self._hear_reply(kind, body)
        elif kind == b"E":
            self._hear_error(body)
        elif kind == b"D":
            self._answer.rows = self._answer.rows or hashlib.sha256()
            self._answer.rows.update(body)
        elif kind == b"t":
            self._statements.note_types(body)
        elif kind == b"G":
            self._copies = _END_OF_COPY if self._doing is None or b"Q" in self._doing.kinds else b"S"

    def _hear_at_start(self, message: Message) -> None:
        """Hear what comes before the first query: each at once, as an authentication is a conversation."""
        if message.kind == b"K":
            self.backend, self.key = int.from_bytes(message.body[:4]), message.body
            self._proxy.known(self)
            if self._parking is not None:
                self._parking.assign(self._place, self.backend)
        elif message.kind == b"E":
            self._answer.state = protocol.error_fields(message.body).get("C", "")
        self._pass_on()

    def _hear_reply(self, kind: bytes, body: bytes) -> None:
        self._replies -= self._replies > 0
        if kind == b"C":
            self._answer.tag = protocol.words(body, 1)[0][0].decode(errors="replace")
        elif kind == b"s":
            self._answer.tag = "more to come"

    def _hear_error(self, body: bytes) -> None:
        fields = protocol.error_fields(body)
        self._answer.state, self._answer.said = fields.get("C", ""), fields.get("M", "")
        if self._answer.state == "40P01" and (found := _BLOCKED_BY.search(fields.get("D", ""))):
            self._answer.waited_for = int(found[1])
        self._replies = 0
        self._passes_over = self._doing is None or b"Q" not in self._doing.kinds

    def _answered(self) -> None:
        self._owed = self._replies = 0
        self._copies = b""
        if self._drops:
            self._lose(Fault.COMMIT_DONE)
            return
        self._require_raised()
        run, doing = self._proxy.run, self._doing
        if run is not None and doing is not None and (doing.runs or self._answer.state):
            self._note(self._answer.in_words())
            self._granted = 0
        self._pass_on()
        self.go_through()

    def _require_raised(self) -> None:
        """Refuse the run where the server raised something else than the fault."""
        fault, self._raises = self._raises, None
        if fault is not None and self._answer.state not in (RAISED[fault], ABORTED):
            self._proxy.run_of_now.refuse(
                f"The server was to raise {RAISED[fault]} for the fault {fault}, but said: "
                f"{self._answer.said or 'that all is well'}. Let the engine log in as the kit's own user, and start "
                "the server anew if another version of the kit has."
            )

    def _note(self, words: str) -> None:
        run, client = self._proxy.run, self._user
        answer, self._answer, doing = self._answer, _Answer(), self._doing
        self._doing = None
        if run is None or client is None or doing is None:
            return
        client.session = None
        if answer.waited_for is not None:
            run.note_wait(client, doing.what, answer.waited_for)
        run.note_answer(client, doing.what, words)

    def _opened(self) -> None:
        self.is_open = True
        self._owed = 0
        self._held.close()
        run, client = self._proxy.run, self._user
        if run is not None and client is not None:
            client.session = None
            self.is_a_clients = True
            run.uses(client, self.backend)
            run.opened_session(client, self)
        self._pass_on()
        self.go_through()

    # To the driver.

    def _pass_on(self) -> None:
        kept, self._kept = bytes(self._kept), bytearray()
        self._say(kept)

    def _say(self, data: bytes) -> None:
        self._to_front += data
        self._flush_front()

    def _flush_front(self) -> None:
        if not self.is_closed and not _sent(self._front, self._to_front):
            self._proxy.watch_to_write(self._front, self._flush_front)

    # Between runs.

    def ask(self, query: bytes) -> None:
        """Ask the server something of the kit's own, which the driver does not see; nobody relays meanwhile."""
        assert self._back is not None
        self._back.settimeout(_ANSWER_SECONDS)
        try:
            self._back.sendall(protocol.query(query.decode()))
        except OSError as error:
            raise psycopg.OperationalError(str(error)) from error

    def rows(self) -> list[list[bytes | None]]:
        """Return the rows that were answered. Raises: psycopg.OperationalError."""
        assert self._back is not None
        found, said = [], ""
        try:
            while True:
                for message in self._from_back:
                    if message.kind == b"D":
                        found.append(protocol.row(message.body))
                    elif message.kind == b"E":
                        said = protocol.error_fields(message.body).get("M", "an error")
                    elif message.kind == b"S":  # the driver has to know it, too
                        self._kept += message.raw
                    elif message.kind == b"Z":
                        if said:
                            raise psycopg.OperationalError(said)
                        return found
                data = self._back.recv(_CHUNK)
                if not data:
                    raise psycopg.OperationalError("the session has ended")
                self._from_back.feed(data)
        except OSError as error:
            raise psycopg.OperationalError(str(error)) from error
        finally:
            self._back.setblocking(False)

    # The end.

    def _lose(self, fault: Fault) -> None:
        """Break the connection; its driver learns of it when the server's side has ended."""
        client, run = self._user, self._proxy.run_of_now
        assert client is not None
        self._close_back()
        run.strike(client, fault, self.backend)
        self._kept.clear()
        self._note("connection lost")
        self.close()

    def lend(self, client: Client | None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note which client has taken the connection out of its pool; None: it is back, or nobody's client has.

        `loop` is the event loop in which it is used, if it is used in one.
        """
        self.lent_to, self._loop = client, loop

    def run_has_ended(self) -> None:
        """Belong to no run any more. Who waits at a gate, which nobody opens now, is let go."""
        if self._at_gate is not None or self._collected:
            self.close()
        if self._user is not None:
            self._user.session = None
        self._user = None
        self._granted = 0
        if not self.is_awaited and not self.is_closed:
            self._pass_on()

    def bury(self, *, unheard: bool) -> None:
        """Bring it to a state that changes no more by itself: its process has ended. What it said last has arrived."""
        if self._back is None:
            self.is_dead = True
            return
        self._back.setblocking(True)
        self._back.settimeout(_ANSWER_SECONDS)
        with suppress(OSError):
            while data := self._back.recv(_CHUNK):
                if not unheard:
                    self._from_back.feed(data)
        self._close_back()

    def _close_back(self) -> None:
        self.is_dead = True
        if self._back is not None:
            self._proxy.forget(self._back)
            self._back.close()
            self._back = None

    def close(self, *, by_driver: bool = False) -> None:
        """Close both sides. When its driver has closed it in a run, its locks are gone afterwards."""
        if self.is_closed:
            return
        self._held.close()
        run, was_open = self._proxy.run, self.is_open and not self.is_dead
        if not by_driver:
            with suppress(ProtocolError):
                for message in self._from_back:  # last words
                    self._hear_last(message)
            if self._doing is not None:
                self._note("done" if self._doing is _CANCELS else self._answer.state or "connection lost")
            self._pass_on()
        elif self._user is not None and self._user.session is self:
            self._user.session = None
        self.is_closed = True
        self._proxy.forget(self._front)
        self._front.close()
        self._close_back()
        self._proxy.gone(self)
        if by_driver and was_open and run is not None and run.turn is not None:
            run.closed(run.turn, self.backend)

    def _is_left_alone(self) -> None:
        """Close it, its driver being gone: a step of a run, as locks may be released, before the client's next."""
        run = self._proxy.run
        if run is None or run.turn is None or not self.is_open or self.is_dead or self.is_awaited:
            self.close(by_driver=True)
        elif self._at_gate is None:
            self._proxy.forget(self._front)
            self._front.close()
            self._at_gate = _CLOSES
            run.leaves(AtWire(_CLOSES.what, session=self))

    def _hear_last(self, message: Message) -> None:
        self._kept += message.raw
        if message.kind == b"E":
            self._answer.state = protocol.error_fields(message.body).get("C", "")


def _received(source: socket.socket) -> bytes | None:
    """Return what has arrived, nothing at the end, or None where there is nothing yet."""
    try:
        return source.recv(_CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _sent(target: socket.socket, data: bytearray) -> bool:
    """Send as much as the other side takes, and take it off; return whether nothing is left. Nobody may hear it."""
    try:
        while data:
            del data[: target.send(data)]
    except BlockingIOError:
        return False
    except OSError:
        data.clear()
    return True
