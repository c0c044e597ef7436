"""What is written for records, positions and gaps: format times transport (`stream_request`). Pure.

Called by `subscription` once for each batch; the bytes go to any number of sockets as they are. Server-sent events
differ from socket to socket in one thing, the resume credential: `CREDENTIAL_MARK` stands in its place.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from edge.batch import ReceivedBatch
from edge.frames import compressed_frame, text_frame
from edge.position import Position
from edge.position_token import TokenPosition, TokenWriter
from edge.stream_request import Format, StreamKey, Transport

CREDENTIAL_MARK = b"\0"
"""Stands for a socket's own credential. JSON text cannot hold it (RFC 8259, section 7)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that are gone: offsets of one partition, the last one excluded."""

    partition: int
    from_offset: int
    to_offset: int


class Encoder(Protocol):
    """Makes the bytes of one subscription.

    Attributes:
        needs_metadata: whether records must come with key and headers.
        tells_positions: whether `position` gives anything.
    """

    needs_metadata: bool
    tells_positions: bool

    def records(self, batch: ReceivedBatch, indexes: Sequence[int], position: Position) -> bytes:
        """Some records of a batch.

        Args:
            indexes: which, increasing.
            position: of the subscription; what it says of the batch's partition does not matter.
        """

    def position(self, position: Position) -> bytes:
        """That nothing was left out before a position."""

    def gap(self, gap: Gap, position: Position) -> bytes:
        """That records are missing; `position` lies behind them."""


class ValueEncoder:
    """Bare values as text frames: what the original sends, and the quick path."""

    needs_metadata = False
    tells_positions = False

    def records(self, batch: ReceivedBatch, indexes: Sequence[int], position: Position) -> bytes:
        """Shared by all subscriptions that the batch goes to."""
        return batch.frames.select(indexes)

    def position(self, position: Position) -> bytes:
        """Nothing: there is no place for it."""
        return b""

    def gap(self, gap: Gap, position: Position) -> bytes:
        """Nothing; such a subscription ends at gaps."""
        return b""


class CompressedValueEncoder(ValueEncoder):
    """The same for sockets that have agreed on compression."""

    def records(self, batch: ReceivedBatch, indexes: Sequence[int], position: Position) -> bytes:
        """Shared like uncompressed ones."""
        return batch.frames.select_compressed(indexes)


class EnvelopeEncoder:
    """`format=record`, and server-sent events of either format.

    Args:
        key: of the subscription.
    """

    tells_positions = True

    def __init__(self, key: StreamKey) -> None:
        self.needs_metadata = key.format is Format.RECORD
        self._wrap = _as_event
        if key.transport is Transport.WEBSOCKET:
            self._wrap = _as_compressed_frame if key.compressed else _as_frame
        self._tells_in_data = key.transport is Transport.WEBSOCKET
        self._topic = orjson.dumps(key.topic.encode("utf-8", "replace").decode())
        self._tokens = TokenWriter(key.topic)

    def records(self, batch: ReceivedBatch, indexes: Sequence[int], position: Position) -> bytes:
        """One message for each record, with the position behind it."""
        prefix = self._tokens.prefix(_told(position), batch.partition)
        head = b'{"topic":%b,"partition":%d,"offset":' % (self._topic, batch.partition)
        pieces = []
        for index in indexes:
            offset = batch.offsets[index]
            token = prefix.token(offset + 1)
            value = batch.values[index]
            if self.needs_metadata:
                timestamp = batch.timestamps_ms[index]
                metadata = batch.metadata[index]
                value = b'%b%d,"timestamp":%b,"key":%b,"headers":%b,"value":%b,"position":"%b"}' % (
                    head,
                    offset,
                    b"null" if timestamp < 0 else b"%d" % timestamp,
                    _text(metadata.key if metadata.HasField("key") else None),
                    _headers(metadata.headers),
                    value,
                    token,
                )
            pieces.append(self._wrap(value, token))
        return b"".join(pieces)

    def position(self, position: Position) -> bytes:
        """`{"position":"..."}`, or an event that only sets the id."""
        token = self._tokens.prefix(_told(position)).token()
        return self._wrap(b'{"position":"%b"}' % token, token) if self._tells_in_data else _identity(token) + b"\n"

    def gap(self, gap: Gap, position: Position) -> bytes:
        """`{"gap":{"partition":0,"from":5,"to":17},"position":"..."}`, as an event of the type `gap`."""
        token = self._tokens.prefix(_told(position)).token()
        where = b'{"partition":%d,"from":%d,"to":%d}' % (gap.partition, gap.from_offset, gap.to_offset)
        notice = self._wrap(b'{"gap":%b,"position":"%b"}' % (where, token), token)
        return notice if self._tells_in_data else b"event: gap\n" + notice


def encoder(key: StreamKey) -> Encoder:
    """The encoder of a subscription."""
    if key.format is Format.VALUE and key.transport is Transport.WEBSOCKET:
        return CompressedValueEncoder() if key.compressed else ValueEncoder()
    return EnvelopeEncoder(key)


def closing_event(code: int, reason: str) -> bytes:
    """The last event of a stream: what a WebSocket's close frame would say."""
    return b"event: close\ndata: " + orjson.dumps({"code": code, "reason": reason}) + b"\n\n"


def _told(position: Position) -> TokenPosition:
    return TokenPosition(position.next_offsets, position.topic_id)


def _as_frame(payload: bytes, token: bytes) -> bytes:
    return text_frame(payload)


def _as_compressed_frame(payload: bytes, token: bytes) -> bytes:
    return compressed_frame(payload)


def _identity(token: bytes) -> bytes:
    return b"id: %b.%b\n" % (token, CREDENTIAL_MARK)


def _as_event(payload: bytes, token: bytes) -> bytes:
    # Line ends end a field; in JSON text they can only stand between tokens, where a space does as well.
    return b"%bdata: %b\n\n" % (_identity(token), payload.replace(b"\r", b" ").replace(b"\n", b" "))


def _text(raw: bytes | None) -> bytes:
    """Bytes as a JSON string; those that are no UTF-8 as `{"base64":"..."}`."""
    if raw is None:
        return b"null"
    try:
        return orjson.dumps(raw.decode())
    except UnicodeDecodeError:
        return orjson.dumps({"base64": b64encode(raw).decode()})


def _headers(headers: Sequence[Any]) -> bytes:
    items = [
        b'{"key":%b,"value":%b}' % (orjson.dumps(each.key), _text(each.value if each.HasField("value") else None))
        for each in headers
    ]
    return b"[%b]" % b",".join(items)
