"""The protocol: bytes in, messages out; any violation raises ProtocolError."""

import struct
import uuid
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import Batch, Statements
from pgdst.simulation.gate.exchange import Exchange
from pgdst.simulation.gate.protocol import Message, Messages, ProtocolError

messages = st.builds(
    Message, st.sampled_from([b"Q", b"P", b"B", b"D", b"E", b"S", b"X", b"\0"]), st.binary(max_size=50)
)


@given(st.lists(messages), st.lists(st.integers(0, 400)))
def test_messages_come_out_whole_however_they_arrive(sent: list[Message], cuts: list[int]) -> None:
    raw = b"".join(message.raw for message in sent)
    stream, came, at = Messages(), [], 0
    for cut in [*sorted(cuts), len(raw)]:
        stream.feed(raw[at:cut])
        at = max(at, cut)
        came += list(stream)
    assert sent == came
    assert stream.is_empty


@given(st.binary(max_size=200))
def test_what_is_no_protocol_is_said_to_be_none(data: bytes) -> None:
    """No function that reads a peer's bytes raises anything but ProtocolError."""
    for take in (Messages.take, Messages.take_start):
        stream = Messages()
        stream.feed(data)
        with suppress(ProtocolError):
            while take(stream) is not None:
                pass
    for read in (protocol.parse, protocol.bind, protocol.types, protocol.row, protocol.error_fields):
        with suppress(ProtocolError):
            read(data)
    with suppress(ProtocolError):
        protocol.parse_start(data)
    for kind in (b"Q", b"P", b"B", b"D", b"E", b"F", b"C", b"H"):
        with suppress(ProtocolError):
            Statements().batch((Message(kind, data),), str)


@pytest.mark.parametrize("length", [-1, 0, 3, 2**30])
def test_a_length_that_cannot_be_is_refused_before_anything_is_waited_for(length: int) -> None:
    stream = Messages()
    stream.feed(b"Q" + struct.pack("!i", length))
    with pytest.raises(ProtocolError, match=f"is said to have {length} bytes"):
        stream.take()


@given(st.dictionaries(st.text(st.characters(blacklist_characters="\0", codec="utf-8"), min_size=1), st.text("ab é")))
def test_a_start_packet_is_read_as_it_was_written(settings: dict[str, str]) -> None:
    stream = Messages()
    stream.feed(protocol.start(protocol.PROTOCOL_3 << 16, settings))
    body = stream.take_start()
    assert body is not None
    found = protocol.parse_start(body)
    assert settings == found.settings


def bind(formats: list[int], values: list[bytes | None]) -> bytes:
    body = (
        b"portal\0name\0" + struct.pack(f"!H{len(formats)}h", len(formats), *formats) + struct.pack("!H", len(values))
    )
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return body


def test_parameters_are_in_words() -> None:
    """Binary values of built-in types are decoded; those of unknown types are in hexadecimal."""
    one = uuid.UUID(int=7)
    values = [struct.pack("!i", -5), b"text", one.bytes, None, b"\1{}", b"\xff", struct.pack("!d", 0.5), b"\1"]
    kinds = (23, 25, 2950, 23, 3802, 600, 701, 16)
    found = protocol.bind(bind([1], values))
    assert ["-5", "'text'", str(one), "NULL", "'{}'", "0xff", "0.5", "True"] == protocol.values_in_words(
        found.values, kinds
    )
    mixed = protocol.bind(bind([0, 1], [b"12", b"\0\0\0\1"]))
    assert ["'12'", "1"] == protocol.values_in_words(mixed.values, (25, 23))


def test_a_batch_says_what_it_executes() -> None:
    """Also for statements prepared earlier, and for each driver's spelling of COMMIT and ROLLBACK."""
    statements = Statements()
    prepared = statements.batch((Message(b"P", b"s\0SELECT\n  $1\0\0\0"), Message(b"H", b"")), str)
    assert (False, "SELECT $1") == (prepared.runs, prepared.what)
    bound = Message(b"B", b"\0s\0" + bind([], [b"7"]).partition(b"name\0")[2])
    executed = statements.batch((bound, Message(b"E", bytes(5)), Message(b"S", b"")), str)
    assert (True, "SELECT $1 ['7']") == (executed.runs, executed.what)
    for text, what in (("commit ;", "COMMIT"), ("END", "COMMIT"), ("abort", "ROLLBACK"), ("COMMIT PREPARED 'x'",) * 2):
        assert what == statements.batch((Message(b"Q", text.encode() + b"\0"),), str).what
    assert statements.batch((Message(b"Q", b"BEGIN ISOLATION LEVEL SERIALIZABLE;\0"),), str).is_unseen


def test_a_copy_that_a_flush_has_begun_ends_with_the_answer_to_its_sync() -> None:
    exchange = Exchange()
    begun = b"PBEH"
    exchange.ask(Batch(tuple(Message(bytes([kind]), b"") for kind in begun), "COPY", "COPY"))
    for kind in (b"1", b"2", b"G"):
        assert not exchange.hear(Message(kind, b""))
    for kind in (b"d", b"c", b"S"):
        exchange.send_data(Message(kind, b""))
    assert exchange.is_awaited
    assert [False, True] == [exchange.hear(Message(b"C", b"COPY 1\0")), exchange.hear(Message(b"Z", b"I"))]
