"""Bytes of WebSocket text frames (RFC 6455, section 5.2), built once per batch for all sockets. Pure.

Called by `subscription` for every batch that arrives; the result is written as it is to any number of sockets.
Server frames are not masked, and each record is one unfragmented frame.
"""

import struct
from collections.abc import Sequence

from edge.compression import deflate

_FIN_TEXT = 0x81
"""FIN bit and opcode 1."""

_RSV1 = 0x40
"""The bit of the first byte that says «compressed» (RFC 7692, section 6)."""

_LENGTH_16_BITS = 126
_LENGTH_64_BITS = 127
"""Values of the 7-bit length that announce an extended one."""

_TABLE_SIZE = 4096
"""Headers of payloads shorter than this are looked up instead of packed: nearly all records are."""


def _pack_header(length: int) -> bytes:
    if length < _LENGTH_16_BITS:
        return struct.pack("!BB", _FIN_TEXT, length)
    if length <= 0xFFFF:
        return struct.pack("!BBH", _FIN_TEXT, _LENGTH_16_BITS, length)
    return struct.pack("!BBQ", _FIN_TEXT, _LENGTH_64_BITS, length)


_HEADERS = tuple(map(_pack_header, range(_TABLE_SIZE)))


def text_header(length: int) -> bytes:
    """What precedes a text frame's payload of `length` bytes."""
    return _HEADERS[length] if length < _TABLE_SIZE else _pack_header(length)


def text_frame(payload: bytes) -> bytes:
    """A text frame."""
    return text_header(len(payload)) + payload


def compressed_frame(payload: bytes) -> bytes:
    """A text frame for sockets that have agreed on compression; not compressed when that would make it longer."""
    compressed = deflate(payload)
    if compressed is None:
        return text_frame(payload)
    header = text_header(len(compressed))
    return bytes((header[0] | _RSV1,)) + header[1:] + compressed


class FramedBatch:
    """The values of one batch as text frames.

    Nothing is built before it is asked for; what was built is kept for the next subscription that asks.

    Args:
        values: payloads, UTF-8.
    """

    __slots__ = ("_compressed", "_frames", "_values", "_whole")

    def __init__(self, values: Sequence[bytes]) -> None:
        """Takes the payloads."""
        self._values = values
        self._whole: bytes | None = None
        self._frames: list[bytes] | None = None
        self._compressed: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Number of values."""
        return len(self._values)

    def whole(self) -> bytes:
        """The frames of all values, one after the other."""
        if self._whole is None:
            pieces = [b""] * (2 * len(self._values))
            pieces[::2] = [text_header(len(value)) for value in self._values]
            pieces[1::2] = self._values
            self._whole = b"".join(pieces)
        return self._whole

    def select(self, indexes: Sequence[int]) -> bytes:
        """The frames of some values, one after the other.

        Args:
            indexes: which, increasing.
        """
        if len(indexes) == len(self._values):
            return self.whole()
        if self._frames is None:
            self._frames = [text_frame(value) for value in self._values]
        frames = self._frames
        return b"".join([frames[index] for index in indexes])

    def select_compressed(self, indexes: Sequence[int]) -> bytes:
        """The same for sockets that have agreed on compression. Each value is compressed once, for all who take it.

        Args:
            indexes: which, increasing.
        """
        frames, values = self._compressed, self._values
        for index in indexes:
            if index not in frames:
                frames[index] = compressed_frame(values[index])
        return b"".join([frames[index] for index in indexes])
