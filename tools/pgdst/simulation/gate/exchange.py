"""What a session's server was asked for, and how far its answer is. Pure: bytes and words, no socket and no run."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from pgdst.simulation.faults.kinds import RAISED, Fault
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import Batch, Statements
from pgdst.simulation.gate.protocol import Message

# What ReadyForQuery says of the transaction.
IDLE: Final = b"I"
FAILED: Final = b"E"
# Answers to a message each, where a driver has asked by Flush and no ReadyForQuery ends them.
_REPLIES: Final = b"123TnCIs"
_WANT_REPLIES: Final = b"PBCDE"
_END_OF_COPY: Final = b"cf"
_BLOCKED_BY: Final = re.compile(r"blocked by process (\d+)")  # in the detail of 40P01, the victim's line the first


@dataclass
class Answer:
    """What the server has said since it was asked, as far as the trace tells it."""

    tag: str = ""
    state: str = ""  # SQLSTATE
    said: str = ""  # with it
    waited_for: int | None = None  # the process for which the victim of a deadlock waited
    rows: "hashlib._Hash | None" = None

    def in_words(self) -> str:
        """Return it for the trace: SQLSTATE, or the tag with a hash of the rows."""
        if self.state:
            return self.state
        digest = f" #{self.rows.hexdigest()[:8]}" if self.rows is not None else ""
        return f"{self.tag or 'done'}{digest}"

    def note_error(self, body: bytes) -> None:
        """Note what an ErrorResponse says."""
        fields = protocol.error_fields(body)
        self.state, self.said = fields.get("C", ""), fields.get("M", "")
        if self.state == "40P01" and (found := _BLOCKED_BY.search(fields.get("D", ""))):
            self.waited_for = int(found[1])


class Exchange:
    """What is asked in one session, and answered, one thing after another."""

    def __init__(self) -> None:
        self.statements = Statements()
        self.status = IDLE  # of the transaction
        self.kept = bytearray()  # of the answer, for the driver
        self.answer = Answer()
        self.ends_copy = b""  # the kinds of message that end the data of a COPY, while the driver sends it
        self._batch: Batch | None = None
        self._raises: Fault | None = None  # in place of the batch
        self._hears_the_end = True  # of that, the driver, as it has sent a Sync
        self._owed = 0  # ReadyForQuery
        self._replies = 0  # answers to single messages
        self._passes_over = False  # the server does so, as there was an error and no Sync since

    @property
    def is_awaited(self) -> bool:
        """Whether the server has been asked for something, and has not answered yet."""
        return self._owed + self._replies > 0 and not self.ends_copy

    @property
    def is_under_way(self) -> bool:
        """Whether the answer is not whole yet."""
        return self._owed + self._replies > 0

    def begin(self) -> None:
        """Note that the session is asked for."""
        self._owed = 1

    def has_begun(self) -> None:
        """Note that it is there."""
        self._owed = 0

    def ask(self, batch: Batch) -> bytes:
        """Return what is sent for a batch."""
        self._batch, self.answer = batch, Answer()
        # After an error, the server passes over everything up to the next Sync.
        self._owed = batch.counted(b"S" if self._passes_over else b"QSF")
        self._replies = 0 if self._owed or self._passes_over else batch.counted(_WANT_REPLIES)
        return batch.raw

    def ask_to_raise(self, batch: Batch, fault: Fault, statement: str) -> bytes:
        """Return what lets the server raise an error in place of a batch, and ends as that would: by Sync or Flush.

        At COMMIT the transaction ends as well.
        """
        self._batch, self.answer, self._raises = batch, Answer(), fault
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
        """Note what the driver sends of a COPY. A Sync at its end is answered, where a Flush had begun it."""
        if message.kind in self.ends_copy:
            self.ends_copy = b""
            if message.kind == b"S" and not self._owed:
                self._owed, self._replies = 1, 0

    def hear(self, message: Message) -> bool:
        """Take a message of the server's; return whether the answer is whole with it. Raises: ProtocolError."""
        kind, was_asked = message.kind, self.is_under_way
        # Of an error that is raised in place of the batch, the driver hears that and one end.
        if not self._raises or kind == b"E" or (kind == b"Z" and self._owed == 1 and self._hears_the_end):
            self.kept += message.raw
        if kind == b"Z":
            self._owed -= 1
            self.status = message.body
            self._passes_over = False
        else:
            self._hear_part(kind, message.body)
        return was_asked and self._owed <= 0 and self._replies <= 0

    def _hear_part(self, kind: bytes, body: bytes) -> None:
        if kind in _REPLIES:
            self._replies -= self._replies > 0
        if kind == b"C":
            self.answer.tag = protocol.words(body, 1)[0][0].decode(errors="replace")
        elif kind == b"s":
            self.answer.tag = "more to come"
        elif kind == b"D":
            self.answer.rows = self.answer.rows or hashlib.sha256()
            self.answer.rows.update(body)
        elif kind == b"t":
            self.statements.note_types(body)
        elif kind == b"E":
            self.answer.note_error(body)
            self._replies, self._passes_over = 0, not self._is_simple
        elif kind == b"G":
            self.ends_copy = _END_OF_COPY if self._is_simple else b"S"

    @property
    def _is_simple(self) -> bool:
        return self._batch is None or b"Q" in self._batch.kinds

    def end(self) -> str:
        """Settle what is whole; return what is wrong where something else was raised than a fault wanted, else ""."""
        self._owed = self._replies = 0
        self.ends_copy = b""
        fault, self._raises = self._raises, None
        if fault is None or self.answer.state == RAISED[fault]:
            return ""
        return (
            f"The server was to raise {RAISED[fault]} for the fault {fault}, but said: "
            f"{self.answer.said or 'that all is well'}. Let the engine log in as the kit's own user, and start "
            "the server anew if another version of the kit has."
        )

    def take_kept(self) -> bytes:
        """Return what is kept of the answer, and keep it no more."""
        kept, self.kept = bytes(self.kept), bytearray()
        return kept

    def hear_last(self, message: Message) -> None:
        """Take a message after which nothing more is asked."""
        self.kept += message.raw
        if message.kind == b"E":
            self.answer.note_error(message.body)


def _executed(statement: str) -> bytes:
    """Return what prepares, binds and executes a statement without parameters."""
    parsed = Message(b"P", b"\0" + statement.encode() + b"\0\0\0").raw
    return parsed + Message(b"B", bytes(8)).raw + Message(b"E", bytes(5)).raw
