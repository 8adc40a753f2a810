"""Batches: the messages that a driver sends up to one that requires an answer, and their text for the trace."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from pgdst.simulation.gate import identity, protocol
from pgdst.simulation.gate.protocol import Message

_LONGEST: Final = 400  # characters of a statement in the trace; a longer one is cut and ends with a hash of the whole
# Kinds of messages that require an answer (simple query, Sync, Flush, function call), and Terminate.
ENDS: Final = b"QSHFX"
RUNS: Final = b"QEF"
TERMINATE: Final = b"X"
# Drivers send these by themselves. They take no lock and no snapshot, so other clients can't see them. They are no
# step: else the steps would depend on how much a connection has been used.
_UNSEEN: Final = re.compile(r"\s*(BEGIN|START\s+TRANSACTION|DEALLOCATE)\b[^;]*;?\s*", re.IGNORECASE)
_COMMIT: Final = re.compile(r"(COMMIT|END)( WORK| TRANSACTION)?", re.IGNORECASE)
_ROLLBACK: Final = re.compile(r"(ROLLBACK|ABORT)( WORK| TRANSACTION)?", re.IGNORECASE)
# Names that drivers make from a counter of the process, or from a memory address.
_COUNTED: Final = re.compile(r"__asyncpg_[a-z]+_[0-9a-f]+__|\bc_[0-9a-f]{6,}_[0-9a-f]+\b")


@dataclass(frozen=True)
class Batch:
    """Messages that are sent together, and the statement in them.

    `text` is the statement that is prepared or executed. `what` is the same with its parameters, if it is executed.
    Both are in one line, and cut where they are long; `statement` is as it was sent, and `parameters` are its.
    """

    messages: tuple[Message, ...]
    text: str
    what: str
    is_unseen: bool = False  # it begins a transaction or forgets a statement, and does nothing else
    says: str = ""  # the client that a comment names, or ""
    statement: str = ""
    parameters: tuple[str, ...] = ()
    bound: protocol.Bound = ()
    types: tuple[int, ...] = ()  # of the parameters, as far as they are known
    more: int = 0  # the number of other statements, behind that one

    @cached_property
    def kinds(self) -> bytes:
        """The kinds of the messages."""
        return b"".join(message.kind for message in self.messages)

    @property
    def raw(self) -> bytes:
        """The messages as they are sent."""
        return b"".join(message.raw for message in self.messages)

    @cached_property
    def runs(self) -> bool:
        """Whether it executes something, rather than only preparing or closing."""
        return self.counted(RUNS) > 0

    @property
    def ends_transaction(self) -> bool:
        """Whether it is COMMIT or ROLLBACK."""
        return self.text in ("COMMIT", "ROLLBACK")

    @property
    def is_pipeline(self) -> bool:
        """Whether it executes several statements."""
        return self.kinds.count(b"E") > 1

    def counted(self, kinds: bytes) -> int:
        """Return how many messages are of these kinds."""
        return len(self.kinds) - len(self.kinds.translate(None, kinds))


# Steps of a connection that are no message.
CONNECTS: Final = Batch((), "connect", "connect")
CANCELS: Final = Batch((), "cancel", "cancel")
CLOSES: Final = Batch((), "close", "close")
NOTHING: Final = Batch((), "nothing", "nothing")


class Portal(NamedTuple):
    """A statement with its parameters, and the formats that its answer is to have."""

    text: str
    parameters: Sequence[str] = ()
    statement: bytes = b""
    formats: tuple[int, ...] = ()
    bound: protocol.Bound = ()
    types: tuple[int, ...] = ()


@dataclass
class Statements:
    """The prepared statements and portals of a session, by the names that its driver gave them."""

    texts: dict[bytes, str] = field(default_factory=dict)
    types: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    columns: dict[bytes, bytes] = field(default_factory=dict)  # RowDescriptions of statements
    named: dict[bytes, str] = field(default_factory=dict)  # the clients that statements' comments name
    _says: str = ""  # the client that the present batch names
    described: bytes = b""  # the statement that the next ParameterDescription is about

    def batch(self, messages: tuple[Message, ...], name: Callable[[str], str]) -> Batch:
        """Return the batch of some messages. `name` maps a name that a driver has counted up to a stable one.

        Raises: ProtocolError.
        """
        self._says = ""
        runs = any(message.kind in RUNS for message in messages)
        said = [found for message in messages if (found := self._text_of(message, runs=runs))]
        seen = [found for found in said if not _UNSEEN.fullmatch(found.text)]
        is_unseen = bool(said) and not seen
        first, *more = seen or said or [Portal("sync")]
        text = _in_one_word(" ".join(first.text.split()).rstrip("; "))
        text, whole = (_COUNTED.sub(lambda found: name(found[0]), one) for one in (text, first.text.strip("; \n\r\t")))
        and_more = f" and {len(more)} more" if more else ""
        values = f"[{' '.join(', '.join(first.parameters).split())}]" if first.parameters else ""
        what = f"{text} {values}".strip()
        return Batch(
            messages,
            _cut(f"{text}{and_more}"),
            _cut(f"{what}{and_more}"),
            is_unseen,
            self._says,
            text if text in ("COMMIT", "ROLLBACK") else whole,
            tuple(first.parameters),
            first.bound,
            first.types,
            len(more),
        )

    def _text_of(self, message: Message, *, runs: bool) -> Portal | None:
        """Note a message. Return its statement and parameters if it executes one, or prepares one without `runs`."""
        kind, body = message.kind, message.body
        if kind == b"Q":
            text, says = identity.said(protocol.words(body, 1)[0][0].decode(errors="replace"))
            self._says = self._says or says
            return Portal(text)
        if kind == b"P":
            found = protocol.parse(body)
            text, says = identity.said(found.text)
            self.texts[found.name], self.types[found.name], self.named[found.name] = text, found.types, says
            self._says = self._says or says
            return None if runs else Portal(text)
        if kind == b"B":
            bound = protocol.bind(body)
            self._says = self._says or self.named.get(bound.statement, "")
            text, types = self.texts.get(bound.statement, "?"), self.types.get(bound.statement, ())
            values = protocol.values_in_words(bound.values, types)
            portal = Portal(text, values, bound.statement, bound.formats, bound.values, types)
            self.portals[bound.portal] = portal
        elif kind == b"E":
            return self.portal(body)
        elif kind == b"D" and body[:1] == b"S":
            self.described = protocol.words(body[1:], 1)[0][0]
        elif kind == b"F":
            return Portal("a function call")
        return None

    def portal(self, body: bytes) -> Portal:
        """Return the portal that an Execute is about. Raises: ProtocolError."""
        return self.portals.get(protocol.words(body, 1)[0][0], _NO_PORTAL)

    def note_types(self, body: bytes) -> None:
        """Note the types in a ParameterDescription. Raises: ProtocolError."""
        self.types[self.described] = protocol.types(body)


_NO_PORTAL: Final = Portal("?")


def _in_one_word(text: str) -> str:
    """Return COMMIT or ROLLBACK for all spellings of either, and any other text as it is."""
    if _COMMIT.fullmatch(text):
        return "COMMIT"
    return "ROLLBACK" if _ROLLBACK.fullmatch(text) else text


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… {hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()[:16]}"
