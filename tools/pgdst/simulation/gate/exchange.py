"""The state of one session's requests and answers. Pure: no socket and no run is touched here."""

import re
from dataclasses import dataclass
from typing import Final

from pgdst.simulation.faults.kinds import RAISED, Fault
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import Batch, Statements
from pgdst.simulation.gate.protocol import Message
from pgdst.simulation.gate.rows import Rows

# The transaction states in ReadyForQuery.
IDLE: Final = b"I"
FAILED: Final = b"E"
# Answers to single messages. After a Flush no ReadyForQuery follows, so these are counted.
_REPLIES: Final = b"123TnCIs"
_WANT_REPLIES: Final = b"PBCDE"
_END_OF_COPY: Final = b"cf"
_BLOCKED_BY: Final = re.compile(r"blocked by process (\d+)")  # in the detail of 40P01; the first line is the victim's


@dataclass
class Answer:
    """The parts of a server's answer that go into the trace."""

    tag: str = ""
    state: str = ""  # SQLSTATE
    said: str = ""  # with it
    waited_for: int | None = None  # the pid for which the victim of a deadlock waited
    rows: Rows | None = None
    described: bytes = b""  # the RowDescription of the rows that come next, or nothing
    is_in_transaction: bool = False  # a transaction is open behind it
    begins: str = ""  # the statement by which the driver had begun the transaction just before, or ""

    def in_words(self) -> str:
        """Return the SQLSTATE, or the command tag with a hash of the rows, for the trace."""
        if self.state:
            return self.state
        digest = f" #{self.rows.digest}" if self.rows is not None else ""
        return f"{self.tag or 'done'}{digest}"

    def note_error(self, body: bytes) -> None:
        """Note the fields of an ErrorResponse."""
        fields = protocol.error_fields(body)
        self.state, self.said = fields.get("C", ""), fields.get("M", "")
        if self.state == "40P01" and (found := _BLOCKED_BY.search(fields.get("D", ""))):
            self.waited_for = int(found[1])


class Exchange:
    """The requests of one session and their answers, in order."""

    def __init__(self) -> None:
        self.statements = Statements()
        self.status = IDLE  # of the transaction
        self.is_synced = True  # the last message was ReadyForQuery
        self.kept = bytearray()  # the part of the answer that the driver has not got yet
        self.answer = Answer()
        self.ends_copy = b""  # the kinds of message that end the data of a COPY, while the driver sends it
        self._batch: Batch | None = None
        self._begins = ""
        self._describing: list[bytes] = []  # the statements (S) and portals (P) whose descriptions are still to come
        self._raises: Fault | None = None  # the fault whose error the server raises instead of the batch
        self._hears_the_end = True  # the driver expects a ReadyForQuery after that error, as it has sent a Sync
        self._owed = 0  # number of ReadyForQuery still to come
        self._replies = 0  # number of answers to single messages still to come
        self._passes_over = False  # after an error, the server skips messages until the next Sync

    @property
    def is_awaited(self) -> bool:
        """Whether the server has a request to answer, and needs nothing more from the driver for it."""
        return self._owed + self._replies > 0 and not self.ends_copy

    @property
    def is_under_way(self) -> bool:
        """Whether an answer is not complete yet."""
        return self._owed + self._replies > 0

    def begin(self) -> None:
        """Note that the session is being set up."""
        self._owed = 1

    def has_begun(self) -> None:
        """Note that the session is ready."""
        self._owed = 0

    def ask(self, batch: Batch) -> bytes:
        """Note that a batch is sent, and return its bytes."""
        self.is_synced = False
        self._batch, self.answer = batch, Answer(is_in_transaction=self.status != IDLE, begins=self._begins)
        if batch.is_unseen and not batch.statement.upper().startswith("DEALLOCATE"):
            self._begins = batch.statement
        elif batch.runs:
            self._begins = ""
        described = [message.body for message in batch.messages if message.kind == b"D"] if b"D" in batch.kinds else []
        self._describing = [body.rstrip(b"\0") for body in described]
        # After an error, the server skips everything up to the next Sync.
        self._owed = batch.counted(b"S" if self._passes_over else b"QSF")
        self._replies = 0 if self._owed or self._passes_over else batch.counted(_WANT_REPLIES)
        return batch.raw

    def ask_to_raise(self, batch: Batch, fault: Fault, statement: str) -> bytes:
        """Return the bytes that make the server raise an error instead of a batch.

        They end with Sync or Flush, as the batch does. Instead of a COMMIT the transaction is rolled back as well.
        """
        self._batch, self.answer, self._raises = batch, Answer(), fault
        self._describing = []
        each = [statement] if statement.startswith("DO") else statement.split("; ")
        raw = b"".join(map(_executed, each))
        flushes, commits = batch.kinds.endswith(b"H"), batch.text == "COMMIT"
        self._hears_the_end = not flushes
        if flushes and not commits:
            self._owed, self._replies = 0, 3 * len(each)
            return raw + Message(b"H", b"").raw
        self._owed, self._replies = 1 + commits, 0
        return raw + Message(b"S", b"").raw + (protocol.query("ROLLBACK") if commits else b"")

    def send_data(self, message: Message) -> None:
        """Note a message of COPY data. If a Flush began the COPY, the Sync at its end gets a ReadyForQuery."""
        if message.kind in self.ends_copy:
            self.ends_copy = b""
            if message.kind == b"S" and not self._owed:
                self._owed, self._replies = 1, 0

    def hear(self, message: Message) -> bool:
        """Take a message from the server, and return whether it completes the answer. Raises: ProtocolError."""
        kind, was_asked = message.kind, self.is_under_way
        # If an error was raised instead of the batch, the driver gets that error and one ReadyForQuery.
        if not self._raises or kind == b"E" or (kind == b"Z" and self._owed == 1 and self._hears_the_end):
            self.kept += message.raw
        if kind == b"Z":
            self._owed -= 1
            self.status, self.is_synced = message.body, True
            self.answer.is_in_transaction = message.body != IDLE
            self._passes_over = False
        else:
            self._hear_part(kind, message.body)
        return was_asked and self._owed <= 0 and self._replies <= 0

    def _hear_part(self, kind: bytes, body: bytes) -> None:
        if kind in _REPLIES:
            self._replies -= self._replies > 0
        if kind == b"C":
            self._hear_tag(protocol.words(body, 1)[0][0].decode(errors="replace"))
        elif kind == b"s":
            self.answer.tag = "more to come"
        elif kind == b"D":
            self._hear_row(body)
        elif kind in (b"T", b"n"):
            self._hear_description(body if kind == b"T" else b"")
        elif kind == b"t":
            self.statements.note_types(body)
        elif kind == b"E":
            self.answer.note_error(body)
            self._replies, self._passes_over = 0, not self._is_simple
        elif kind == b"G":
            self.ends_copy = _END_OF_COPY if self._is_simple else b"S"

    def _hear_row(self, body: bytes) -> None:
        if self.answer.rows is None:
            self.answer.rows = self._rows()
        elif self.answer.tag:  # another statement of the batch had rows before
            self.answer.rows.forget_columns()
        self.answer.rows.add(body)

    def _hear_tag(self, tag: str) -> None:
        self.answer.tag = tag
        if self._batch is not None and self._batch.ends_transaction:  # no ReadyForQuery may follow
            self.answer.is_in_transaction = False

    def _hear_description(self, body: bytes) -> None:
        """Note the columns of a statement, of a portal, or of a simple query's answer."""
        about = self._describing.pop(0) if self._describing else b""
        if about[:1] == b"S":
            self.statements.columns[about[1:]] = body
        else:
            self.answer.described = body

    def _rows(self) -> Rows:
        """Return where the rows of the present answer go, with their columns as far as they are known."""
        executed = [message for message in self._batch.messages if message.kind == b"E"] if self._batch else []
        if self.answer.described or len(executed) != 1:
            return Rows(self.answer.described)
        portal = self.statements.portal(executed[0].body)
        return Rows(self.statements.columns.get(portal.statement, b""), portal.formats or (0,))

    @property
    def _is_simple(self) -> bool:
        return self._batch is None or b"Q" in self._batch.kinds

    def end(self) -> str:
        """Settle a complete answer. Return "", or an error text if the server did not raise the fault's SQLSTATE."""
        self._owed = self._replies = 0
        self.ends_copy = b""
        fault, self._raises = self._raises, None
        if fault is None or self.answer.state == RAISED[fault]:
            return ""
        return (
            f"The fault {fault} should raise SQLSTATE {RAISED[fault]}; the server replied: "
            f"{self.answer.said or 'success'}. Let the engine log in as the kit's own user, and restart "
            "the server if another version of the kit has started it."
        )

    def take_kept(self) -> bytes:
        """Return the kept part of the answer, and forget it."""
        kept, self.kept = bytes(self.kept), bytearray()
        return kept

    def hear_last(self, message: Message) -> None:
        """Take a message of a session's start or end, where no batch is under way."""
        self.kept += message.raw
        if message.kind == b"E":
            self.answer.note_error(message.body)


def _executed(statement: str) -> bytes:
    """Return messages that prepare, bind and execute a statement without parameters."""
    parsed = Message(b"P", b"\0" + statement.encode() + b"\0\0\0").raw
    return parsed + Message(b"B", bytes(8)).raw + Message(b"E", bytes(5)).raw
