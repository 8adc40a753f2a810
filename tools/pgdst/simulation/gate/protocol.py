"""The parts of the frontend/backend protocol 3.0 that the gate needs: bytes in, messages out, no socket.

Source: PostgreSQL 16, chapter 55, "Frontend/Backend Protocol".
"""

import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pgdst.errors import PgdstError

# The codes of first packets, which have no kind: the protocol's major version, and those of special requests.
PROTOCOL_3: Final = 3
CANCEL, SSL, GSS = 80877102, 80877103, 80877104
# Postgres refuses longer first packets and longer messages.
LONGEST_START: Final = 10_000
LONGEST: Final = 2**30 - 1
_HEAD: Final = struct.Struct("!ci")  # a message's kind, and its length, which includes the length field


class ProtocolError(PgdstError):
    """A peer has violated the protocol."""


class Message(NamedTuple):
    """One message: its kind (a letter) and its body. A tuple, for speed: a step makes many of them."""

    kind: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """The message as it is sent."""
        return _HEAD.pack(self.kind, len(self.body) + 4) + self.body


class Messages:
    """Complete messages from a stream of bytes, in order. An iteration ends at the first incomplete message."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._bytes += data

    def __iter__(self) -> Iterator[Message]:
        """Take out all complete messages. Raises: ProtocolError."""
        while (message := self.take()) is not None:
            yield message

    def take(self) -> Message | None:
        """Take out the next message if it is complete. Raises: ProtocolError."""
        box = self._bytes
        if len(box) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack_from(box)
        if not 4 <= length <= LONGEST:
            raise ProtocolError(f"a message of kind {kind!r} is said to have {length} bytes")
        if len(box) < 1 + length:
            return None
        message = Message(kind, bytes(box[_HEAD.size : 1 + length]))
        del box[: 1 + length]
        return message

    def take_start(self) -> bytes | None:
        """Take out the body of a first packet, which has no kind, if it is complete. Raises: ProtocolError."""
        box = self._bytes
        if len(box) < 4:
            return None
        length = int.from_bytes(box[:4], signed=True)
        if not 8 <= length <= LONGEST_START:
            raise ProtocolError(f"a first packet is said to have {length} bytes")
        if len(box) < length:
            return None
        body = bytes(box[4:length])
        del box[:length]
        return body

    @property
    def is_empty(self) -> bool:
        """Whether no bytes are left."""
        return not self._bytes


# Messages of drivers.


@dataclass(frozen=True, slots=True)
class Start:
    """A first packet: its code, and the settings of a session or the rest of a special request."""

    code: int
    settings: dict[str, str]
    rest: bytes

    def require_a_session(self) -> None:
        """Check that it begins a session of protocol 3 for queries. Raises: ProtocolError."""
        if self.code >> 16 != PROTOCOL_3:
            raise ProtocolError(f"protocol {self.code >> 16}.{self.code & 0xFFFF} is not supported, use 3.0")
        if self.settings.get("replication", "off") not in ("off", "false", "no", "0"):
            raise ProtocolError("replication does not go through a simulation")


def parse_start(body: bytes) -> Start:
    """Return a first packet from its body. Raises: ProtocolError."""
    code = int.from_bytes(body[:4])
    rest = body[4:]
    if code >> 16 != PROTOCOL_3:
        return Start(code, {}, rest)
    words = rest.split(b"\0")
    if len(words) < 2 or words[-2:] != [b"", b""] or len(words) % 2:
        raise ProtocolError("the settings of a session are not pairs of names and values")
    pairs = [word.decode(errors="surrogateescape") for word in words[:-2]]
    return Start(code, dict(zip(pairs[::2], pairs[1::2], strict=True)), b"")


def start(code: int, settings: dict[str, str]) -> bytes:
    """Return a first packet that begins a session."""
    pairs = b"".join(f"{name}\0{value}\0".encode(errors="surrogateescape") for name, value in settings.items())
    return struct.pack("!ii", len(pairs) + 9, code) + pairs + b"\0"


def request(code: int, rest: bytes) -> bytes:
    """Return a first packet with a special request, such as a cancel request."""
    return struct.pack("!ii", len(rest) + 8, code) + rest


def query(text: str) -> bytes:
    """Return a simple query."""
    return Message(b"Q", text.encode() + b"\0").raw


def words(body: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Return `count` strings, each ended by a zero byte, and the bytes after them. Raises: ProtocolError."""
    *found, rest = body.split(b"\0", count)
    if len(found) != count:
        raise ProtocolError("a string in a message has no end")
    return found, rest


@dataclass(frozen=True, slots=True)
class Parse:
    """A Parse message: a statement's name and text, and the parameter types that the driver has given."""

    name: bytes
    text: str
    types: tuple[int, ...]


def parse(body: bytes) -> Parse:
    """Return a Parse from a message's body. Raises: ProtocolError."""
    (name, text), rest = words(body, 2)
    fields = _Fields(rest)
    return Parse(name, text.decode(errors="replace"), tuple(fields.take("I") for _ in range(fields.count())))


Bound = tuple[tuple[bytes | None, bool], ...]  # values, each with whether it is binary


@dataclass(frozen=True, slots=True)
class Bind:
    """A Bind message: the names of portal and statement, and each parameter with whether it is binary.

    `formats` are those of the answer's columns: none for text, one for all, or one for each.
    """

    portal: bytes
    statement: bytes
    values: Bound
    formats: tuple[int, ...] = ()


def bind(body: bytes) -> Bind:
    """Return a Bind from a message's body. Raises: ProtocolError."""
    (portal, statement), rest = words(body, 2)
    fields = _Fields(rest)
    formats = [fields.take("h") for _ in range(fields.count())]
    values = [fields.value() for _ in range(fields.count())]
    if len(formats) > 1 and len(formats) != len(values):
        raise ProtocolError(f"{len(values)} parameters have {len(formats)} formats")
    each = formats * len(values) if len(formats) == 1 else formats or [0] * len(values)
    answers = tuple(fields.take("h") for _ in range(fields.count())) if fields.are_left else ()
    return Bind(portal, statement, tuple(zip(values, map(bool, each), strict=True)), answers)


class _Fields:
    """Reads numbers and values from a message, in order. Raises: ProtocolError, if the message is too short."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    @property
    def are_left(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._body)

    def take(self, kind: str) -> int:
        try:
            (found,) = struct.unpack_from(f"!{kind}", self._body, self._at)
        except struct.error as error:
            raise ProtocolError("a message ends too soon") from error
        self._at += struct.calcsize(f"!{kind}")
        return int(found)

    def count(self) -> int:
        """Return the count of the values that follow: 16 bits, unsigned, as drivers send up to 65,535 parameters."""
        return self.take("H")

    def value(self) -> bytes | None:
        length = self.take("i")
        if length < 0:
            return None
        found = self._body[self._at : self._at + length]
        if len(found) < length:
            raise ProtocolError("a value ends too soon")
        self._at += length
        return found


# Messages of servers.


def types(body: bytes) -> tuple[int, ...]:
    """Return the type oids in a ParameterDescription. Raises: ProtocolError."""
    fields = _Fields(body)
    return tuple(fields.take("I") for _ in range(fields.count()))


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an error or notice by their letters, such as `C` for the SQLSTATE."""
    return {
        field[:1].decode(errors="replace"): field[1:].decode(errors="replace") for field in body.split(b"\0") if field
    }


class Column(NamedTuple):
    """A column of an answer: its name, the oid of its type, and whether its values are binary."""

    name: str
    type: int
    is_binary: bool


def columns(body: bytes, formats: Sequence[int] = ()) -> list[Column]:
    """Return the columns of a RowDescription; `formats` are those of a Bind that came later. Raises: ProtocolError."""
    found, rest = [], body[2:]
    for number in range(_Fields(body).count()):
        (name,), rest = words(rest, 1)
        fields = _Fields(rest[6:])  # after the oid of the table and the number of the column
        kind, _size, _modifier, asked = fields.take("I"), fields.take("h"), fields.take("i"), fields.take("h")
        if formats:
            asked = formats[number] if number < len(formats) else formats[0]
        found.append(Column(name.decode(errors="replace"), kind, bool(asked)))
        rest = rest[18:]
    return found


def row(body: bytes) -> list[bytes | None]:
    """Return the values of a row. Raises: ProtocolError."""
    fields = _Fields(body)
    return [fields.value() for _ in range(fields.count())]


def error(state: str, text: str) -> bytes:
    """Return an error that ends a session, as Postgres would send it."""
    fields = {"S": "FATAL", "V": "FATAL", "C": state, "M": text}
    return Message(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0").raw


# Parameters in words.

_NUMBERS: Final = {16: "?", 20: "q", 21: "h", 23: "i", 26: "I", 700: "f", 701: "d"}
_TEXTS: Final = {18, 19, 25, 114, 1042, 1043, 705, 0}
# Types whose names a literal is cast to; text needs no cast.
_TYPES: Final = {16: "boolean", 20: "bigint", 21: "smallint", 23: "integer", 26: "oid", 700: "real"}
_TYPES.update({701: "double precision", 114: "json", 1700: "numeric", 2950: "uuid", 3802: "jsonb"})
_TYPES.update({1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1186: "interval"})
_UUID: Final = 2950
_JSONB: Final = 3802


def values_in_words(values: Iterable[tuple[bytes | None, bool]], kinds: Sequence[int]) -> list[str]:
    """Return parameters in words: text as it is, binary values of built-in types, others in hexadecimal.

    `kinds` are the oids of their types, as far as they are known.
    """
    said = []
    for number, (value, is_binary) in enumerate(values):
        kind = kinds[number] if number < len(kinds) else 0
        said.append("NULL" if value is None else _value(value, kind) if is_binary else _text(value))
    return said


def values_in_sql(values: Iterable[tuple[bytes | None, bool]], kinds: Sequence[int]) -> list[str]:
    """Return parameters as literals of SQL, cast to the types that the driver has given. Raises: ValueError."""
    said = []
    for number, (value, is_binary) in enumerate(values):
        kind = kinds[number] if number < len(kinds) else 0
        text = "NULL" if value is None else _quoted(_decoded(value, kind) if is_binary else value.decode())
        said.append(f"{text}::{_TYPES[kind]}" if kind in _TYPES else text)
    return said


def _decoded(value: bytes, kind: int) -> str:
    """Return a binary value as Postgres writes it. Raises: ValueError, if its type is unknown."""
    if kind in _TEXTS:
        return value.decode()
    found = _value(value, kind)
    if found.startswith("0x"):
        raise ValueError(f"a binary parameter has a type (oid {kind}) that the kit cannot decode")
    return value[1:].decode() if kind == _JSONB else found


def _quoted(text: str) -> str:
    """Return a text as a literal, for standard_conforming_strings = on."""
    return "'{}'".format(text.replace("'", "''"))


def in_words(value: bytes | None, kind: int, is_binary: bool) -> str:
    """Return a value of a row in words: text in quotes, all else as Postgres writes it, or in hexadecimal."""
    if value is None:
        return "NULL"
    if is_binary:
        return _value(value, kind)
    return _text(value) if kind in _TEXTS else value.decode(errors="backslashreplace")


def _text(value: bytes) -> str:
    return repr(value.decode(errors="backslashreplace"))


def _value(value: bytes, kind: int) -> str:
    number = _NUMBERS.get(kind)
    if number is not None and len(value) == struct.calcsize(f"!{number}"):
        return str(struct.unpack(f"!{number}", value)[0])
    if kind == _UUID and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    if kind == _JSONB and value[:1] == b"\1":
        return _text(value[1:])
    if kind in _TEXTS:
        try:
            return repr(value.decode())
        except UnicodeDecodeError:
            pass
    return f"0x{value.hex()}"
