"""Position tokens: a position as one short, opaque, URL-safe word that clients keep and give back to resume.

Pure. Made for every record of `format=record` and every server-sent event, read from `from`, `until` and
`Last-Event-ID`. A token is

    base64url( version | topic tag | topic id | partition, next offset, ... | check )

with the numbers as LEB128 varints, the partition that moves most often last, and a check over everything, so that a
mangled token is told from a good one. It is no secret and grants nothing: who presents it needs a ticket as well.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

_VERSION = b"\x01"
_TAG_SIZE = 4
"""Bytes that tell topics apart by name. A collision costs nobody anything but the sentence that says what is wrong."""

_ID_SIZE = 16
_CHECK_SIZE = 4
_MAX_LENGTH = 64 * 1024
"""Characters of the longest token that is looked at: some ten thousand partitions."""

_MAX_OFFSET = 2**63 - 1
_MAX_PARTITION = 2**31 - 1


class PositionTokenError(ValueError):
    """A text is no position token of the topic; the message says why."""


@dataclass(frozen=True, slots=True)
class TokenPosition:
    """What a token says.

    Attributes:
        next_offsets: partition -> offset of the next record to deliver.
        topic_id: Kafka's id of the topic, 16 bytes; empty: not known.
    """

    next_offsets: Mapping[int, int]
    topic_id: bytes = b""


def _tag(topic: str) -> bytes:
    return blake2b(topic.encode("utf-8", "surrogatepass"), digest_size=_TAG_SIZE).digest()


def _varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(0x80 | (number & 0x7F))
        number >>= 7
    pieces.append(number)
    return bytes(pieces)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise PositionTokenError("it is damaged")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte <= 0x7F:
            return number, at
        shift += 7


class TokenWriter:
    """Writes the tokens of one subscription, batch by batch.

    Args:
        topic: its topic.
    """

    __slots__ = ("_tag",)

    def __init__(self, topic: str) -> None:
        self._tag = _tag(topic)

    def prefix(self, position: TokenPosition, moving: int | None = None) -> TokenPrefix:
        """What the tokens of one batch have in common.

        Args:
            position: where the subscription stands.
            moving: the batch's partition, whose offset is given for each token; None: no partition moves.
        """
        pieces = [_VERSION, self._tag, bytes([len(position.topic_id)]), position.topic_id]
        for partition, offset in sorted(position.next_offsets.items()):
            if partition != moving:
                pieces += (_varint(partition), _varint(offset))
        if moving is not None:
            pieces.append(_varint(moving))
        return TokenPrefix(b"".join(pieces))


class TokenPrefix:
    """The common part of some tokens."""

    __slots__ = ("_check", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._check = binascii.crc32(data)

    def token(self, next_offset: int | None = None) -> bytes:
        """The token with the moving partition at `next_offset`; None when no partition moves."""
        rest = b"" if next_offset is None else _varint(next_offset)
        check = binascii.crc32(rest, self._check).to_bytes(_CHECK_SIZE, "big")
        return urlsafe_b64encode(self._data + rest + check).rstrip(b"=")


def encode(topic: str, position: TokenPosition) -> str:
    """The token of a position in `topic`."""
    return TokenWriter(topic).prefix(position).token().decode("ascii")


def decode(topic: str, token: str) -> TokenPosition:
    """The position that a token says.

    Raises:
        PositionTokenError: it is none, is damaged, or belongs to another topic.
    """
    if not token or len(token) > _MAX_LENGTH:
        raise PositionTokenError("it has a wrong length")
    try:
        raw = token.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except (ValueError, binascii.Error):
        raise PositionTokenError("it is not of the form that positions have") from None
    body, check = data[:-_CHECK_SIZE], data[-_CHECK_SIZE:]
    # Decoding ignores what is no base64: only what encodes back to the same text is a token.
    if urlsafe_b64encode(data).rstrip(b"=") != raw or binascii.crc32(body).to_bytes(_CHECK_SIZE, "big") != check:
        raise PositionTokenError("it is damaged")
    if body[:1] != _VERSION:
        raise PositionTokenError("it is of a version that is not known here")
    if body[1 : 1 + _TAG_SIZE] != _tag(topic):
        raise PositionTokenError("it belongs to another topic")
    at = 1 + _TAG_SIZE
    id_size = body[at] if at < len(body) else 1
    at += 1
    topic_id = body[at : at + id_size]
    if id_size not in (0, _ID_SIZE) or len(topic_id) != id_size:
        raise PositionTokenError("it is damaged")
    at += id_size
    offsets: dict[int, int] = {}
    while at < len(body):
        partition, at = _read_varint(body, at)
        offset, at = _read_varint(body, at)
        if partition > _MAX_PARTITION or offset > _MAX_OFFSET or partition in offsets:
            raise PositionTokenError("it is damaged")
        offsets[partition] = offset
    return TokenPosition(offsets, topic_id)
