"""What is written for records, positions and gaps, read by parsers that are not ours."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_ws.filter.v1 import filter_pb2

from edge.batch import ReceivedBatch
from edge.encoding import CREDENTIAL_MARK, Gap, closing_event, encoder
from edge.event_writer import EventWriter
from edge.position import Position
from edge.position_token import TokenPosition, decode
from edge.stream_request import Format, StreamKey, Transport
from tests.edge.event_stream import Event, EventParser
from tests.edge.test_frames import parse as parse_frames

TOPIC = "admin.t"
CREDENTIAL = "kwr_0123456789abcdefABCDEF-_"

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_members = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
documents = st.dictionaries(st.text(), _members, max_size=4) | st.lists(_members, max_size=4)
blanks = st.text(" \t\r\n", max_size=4)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Strict JSON texts with any white space between their tokens, and characters escaped or not."""
    document = draw(documents)
    blank = draw(blanks)
    text = json.dumps(
        document,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.none() | st.integers(0, 3) | st.just("\r")),
        separators=(f"{blank},{draw(blanks)}", f"{draw(blanks)}:{blank}"),
    )
    return (draw(blanks) + text + draw(blanks)).encode()


optional_bytes = st.none() | st.binary(max_size=20) | st.text(max_size=10).map(str.encode)
metadata = st.builds(
    filter_pb2.RecordMetadata,
    key=optional_bytes,
    headers=st.lists(
        st.builds(filter_pb2.Header, key=st.text(max_size=8), value=optional_bytes),
        max_size=4,
    ),
)


def batch(
    values: Sequence[bytes], about: Sequence[filter_pb2.RecordMetadata] = (), *, first: int = 100, partition: int = 2
) -> ReceivedBatch:
    """Values at every third offset, with a timestamp each second, as they come from a filter."""
    return ReceivedBatch(
        filter_pb2.RecordBatch(
            partition=partition,
            offsets=[first + 3 * index for index in range(len(values))],
            timestamps_ms=[1000 * index for index in range(len(values))],
            values=values,
            metadata=about,
            next_offset=first + 3 * len(values),
        )
    )


def key(kind: Format, transport: Transport, topic: str = TOPIC) -> StreamKey:
    return StreamKey(topic, "", "", kind, transport)


def position() -> Position:
    """Where a subscription stands that has just got a batch of partition 2."""
    return Position({0: 7, 2: 999}, b"i" * 16)


class Output:
    """What a client has been sent."""

    def __init__(self) -> None:
        self.data = b""
        self.waiting = self.in_kernel = self.taken = 0

    def write(self, data: bytes) -> int:
        self.data += data
        return 17


def received(encoded: bytes, credential: str = CREDENTIAL) -> list[Event]:
    """The events that a client with this credential reads."""
    output = Output()
    EventWriter(output, credential, is_chunked=False).write(encoded)  # type: ignore[arg-type]
    return EventParser().feed(output.data)


def as_told(raw: bytes | None) -> Any:
    """What stands for a key or a header's value in an envelope."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def check_envelope(envelope: Any, records: ReceivedBatch, index: int, about: filter_pb2.RecordMetadata) -> None:
    """That an envelope says everything about a record, and its position resumes right behind it."""
    assert list(envelope) == ["topic", "partition", "offset", "timestamp", "key", "headers", "value", "position"]
    token = envelope.pop("position")
    assert decode(TOPIC, token) == TokenPosition({0: 7, 2: records.offsets[index] + 1}, b"i" * 16)
    assert envelope == {
        "topic": TOPIC,
        "partition": 2,
        "offset": records.offsets[index],
        "timestamp": 1000 * index,
        "key": as_told(about.key if about.HasField("key") else None),
        "headers": [
            {"key": each.key, "value": as_told(each.value if each.HasField("value") else None)}
            for each in about.headers
        ],
        "value": json.loads(records.values[index]),
    }


@given(st.lists(payloads(), min_size=1, max_size=5))
def test_values_in_frames_are_the_payloads(values: list[bytes]) -> None:
    """`format=value` on a WebSocket sends the bytes as they are, a frame each."""
    encode = encoder(key(Format.VALUE, Transport.WEBSOCKET))
    assert parse_frames(encode.records(batch(values), range(len(values)), position())) == values
    assert encode.position(position()) == encode.gap(Gap(0, 1, 2), position()) == b""


@given(st.lists(st.tuples(payloads(), metadata), min_size=1, max_size=4))
def test_records_in_frames(records: list[tuple[bytes, filter_pb2.RecordMetadata]]) -> None:
    """`format=record` on a WebSocket sends one JSON object for each record, whatever payload, key and headers hold."""
    values, about = zip(*records, strict=True)
    made = batch(values, about)
    encode = encoder(key(Format.RECORD, Transport.WEBSOCKET))
    frames = parse_frames(encode.records(made, range(len(values)), position()))
    assert len(frames) == len(values)
    for index, frame in enumerate(frames):
        check_envelope(json.loads(frame.decode("utf-8")), made, index, about[index])


@given(st.lists(st.tuples(payloads(), metadata), min_size=1, max_size=4))
def test_records_in_events(records: list[tuple[bytes, filter_pb2.RecordMetadata]]) -> None:
    """`format=record` in events holds the same, and the id has the record's own position."""
    values, about = zip(*records, strict=True)
    made = batch(values, about)
    events = received(encoder(key(Format.RECORD, Transport.EVENTS)).records(made, range(len(values)), position()))
    assert len(events) == len(values)
    for index, event in enumerate(events):
        envelope = event.value
        assert event.type == "message"
        assert event.id == f"{envelope['position']}.{CREDENTIAL}"
        check_envelope(envelope, made, index, about[index])


@given(st.lists(payloads(), min_size=1, max_size=5))
def test_values_in_events(values: list[bytes]) -> None:
    """`format=value` in events: each is the same JSON, and has an id that resumes right behind the record."""
    made = batch(values)
    events = received(encoder(key(Format.VALUE, Transport.EVENTS)).records(made, range(len(values)), position()))
    assert [event.value for event in events] == [json.loads(value) for value in values]
    for event, offset in zip(events, made.offsets, strict=True):
        token, credential = event.id.split(".")
        assert decode(TOPIC, token) == TokenPosition({0: 7, 2: offset + 1}, b"i" * 16)
        assert credential == CREDENTIAL


@given(st.lists(payloads(), min_size=2, max_size=6), st.data())
def test_chosen_records(values: list[bytes], data: st.DataObject) -> None:
    """Only those that a subscription takes are written, with their own offsets."""
    indexes = sorted(data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1)))
    made = batch(values, [filter_pb2.RecordMetadata()] * len(values))
    for kind in Format:
        events = received(encoder(key(kind, Transport.EVENTS)).records(made, indexes, position()))
        found = [decode(TOPIC, event.id.partition(".")[0]).next_offsets[2] - 1 for event in events]
        assert found == [made.offsets[index] for index in indexes]


@given(st.lists(payloads(), min_size=1, max_size=3))
def test_only_the_id_holds_the_mark_of_the_credential(values: list[bytes]) -> None:
    """No payload can make the writer put a credential elsewhere: there is one mark for each event."""
    encoded = encoder(key(Format.VALUE, Transport.EVENTS)).records(batch(values), range(len(values)), position())
    assert encoded.count(CREDENTIAL_MARK) == len(values)


def test_a_record_without_a_timestamp() -> None:
    """Brokers that keep none are told as null, not as a second before 1970."""
    made = ReceivedBatch(
        filter_pb2.RecordBatch(
            partition=2, offsets=[5], timestamps_ms=[-1], values=[b"{}"], metadata=[filter_pb2.RecordMetadata()]
        )
    )
    (frame,) = parse_frames(encoder(key(Format.RECORD, Transport.WEBSOCKET)).records(made, [0], position()))
    assert json.loads(frame)["timestamp"] is None


@pytest.mark.parametrize("topic", ["admin.é", 'admin."\\\n', "admin.\N{GRINNING FACE}", "admin.\0", "admin.\ud800"])
def test_any_topic_name_is_text(topic: str) -> None:
    """Whatever the URL named stands in the envelope as JSON text; what is no text is replaced."""
    encode = encoder(key(Format.RECORD, Transport.WEBSOCKET, topic))
    (frame,) = parse_frames(encode.records(batch([b"{}"], [filter_pb2.RecordMetadata()]), [0], position()))
    assert json.loads(frame)["topic"] == topic.replace("\ud800", "?")


@pytest.mark.parametrize("kind", Format)
def test_positions(kind: Format) -> None:
    """A frame that says nothing else; an event that only moves the id, and that no page sees."""
    told = TokenPosition({0: 7, 2: 999}, b"i" * 16)
    if kind is Format.RECORD:
        (frame,) = parse_frames(encoder(key(kind, Transport.WEBSOCKET)).position(position()))
        message = json.loads(frame)
        assert list(message) == ["position"]
        assert decode(TOPIC, message["position"]) == told
    parser, output = EventParser(), Output()
    EventWriter(output, CREDENTIAL, is_chunked=False).write(  # type: ignore[arg-type]
        encoder(key(kind, Transport.EVENTS)).position(position())
    )
    assert parser.feed(output.data) == []
    token, credential = parser.last_id.split(".")
    assert decode(TOPIC, token) == told
    assert credential == CREDENTIAL


@pytest.mark.parametrize("kind", Format)
def test_gaps(kind: Format) -> None:
    """What is missing, and the position behind it, as a frame or as an event of its own type."""
    told = {"partition": 2, "from": 5, "to": 17}
    (event,) = received(encoder(key(kind, Transport.EVENTS)).gap(Gap(2, 5, 17), position()))
    assert (event.type, event.value["gap"]) == ("gap", told)
    assert event.id == f"{event.value['position']}.{CREDENTIAL}"
    if kind is Format.RECORD:
        (frame,) = parse_frames(encoder(key(kind, Transport.WEBSOCKET)).gap(Gap(2, 5, 17), position()))
        assert json.loads(frame) == event.value


@given(st.text())
def test_the_last_event(reason: str) -> None:
    """Any reason stands in the data, on one line."""
    clean = reason.encode("utf-8", "replace").decode()
    (event,) = EventParser("before").feed(closing_event(4410, clean))
    assert event == Event("close", event.data, "before")
    assert event.value == {"code": 4410, "reason": clean}


@given(st.lists(st.binary(min_size=1, max_size=30) | st.just(b"id: x." + CREDENTIAL_MARK), max_size=5), st.booleans())
def test_chunks(pieces: list[bytes], is_chunked: bool) -> None:
    """The pieces, with the credential in its place, in chunks or bare; nothing ends the body before its end."""
    output = Output()
    writer = EventWriter(output, CREDENTIAL, is_chunked=is_chunked)  # type: ignore[arg-type]
    for piece in pieces:
        assert writer.write(piece) == 17
    assert writer.write(b"") == 0
    writer.end()
    expected = b"".join(pieces).replace(CREDENTIAL_MARK, CREDENTIAL.encode())
    assert (unchunked(output.data) if is_chunked else output.data) == expected


def unchunked(data: bytes) -> bytes:
    """A body that was sent in chunks, which must be complete (RFC 9112, section 7.1)."""
    body = b""
    while True:
        size, line_end, data = data.partition(b"\r\n")
        assert line_end
        length = int(size, 16)
        chunk, data = data[:length], data[length:]
        assert len(chunk) == length
        assert data.startswith(b"\r\n")
        data = data[2:]
        if length == 0:
            assert data == b""
            return body
        body += chunk
