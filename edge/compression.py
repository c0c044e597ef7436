"""permessage-deflate without context takeover (RFC 7692), so that a frame is compressed once for all its sockets.

`negotiate` is called by `handlers.topic`, `deflate` by `frames`. Pure. Off unless `KAFKA_WS_SERVER_COMPRESSION` is set:
short records hardly shrink, and compressing one costs a hundred times what framing it does.
"""

import zlib

_NAME = "permessage-deflate"

ANSWER = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
"""What the handshake answers. Without takeover a message refers to no other, so it may go to any socket, and no socket
needs a compressor of its own (300 KB)."""

_OUR_WINDOW_BITS = "15"
"""A client that wants a smaller window is not served compressed: frames would have to be its own."""

_CLIENT_PARAMETERS = frozenset({"client_no_context_takeover", "server_no_context_takeover"})

_SHORTEST = 96
"""Bytes of the shortest payload worth the try."""

_END_OF_BLOCK = b"\x00\x00\xff\xff"
"""What a flush ends with, and the sender leaves out (RFC 7692, section 7.2.1)."""


def negotiate(offers: str) -> bool:
    """Whether a client can be sent frames that are compressed by themselves.

    Args:
        offers: the request's `Sec-WebSocket-Extensions`, in one line; empty when it has none.
    """
    return any(_is_acceptable(offer) for offer in offers.split(","))


def _is_acceptable(offer: str) -> bool:
    name, *parameters = (part.strip() for part in offer.split(";"))
    if name != _NAME:
        return False
    seen = set()
    for parameter in parameters:
        key, equals, value = (part.strip() for part in parameter.partition("="))
        value = value.removeprefix('"').removesuffix('"')
        if key in seen:
            return False
        seen.add(key)
        if key in _CLIENT_PARAMETERS:
            is_known = not equals
        elif key == "client_max_window_bits":
            is_known = not equals or _is_window(value)
        else:
            is_known = key == "server_max_window_bits" and value == _OUR_WINDOW_BITS
        if not is_known:
            return False
    return True


def _is_window(value: str) -> bool:
    return value in {str(bits) for bits in range(8, 16)}


def deflate(payload: bytes) -> bytes | None:
    """A message's payload, compressed by itself; None when that would not make it shorter."""
    if len(payload) < _SHORTEST:
        return None
    # A window and tables for this payload: setting up the largest ones would take longer than compressing.
    bits = min(15, max(9, len(payload).bit_length()))
    compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -bits, bits - 6)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    compressed = compressed.removesuffix(_END_OF_BLOCK)
    return compressed if len(compressed) < len(payload) else None
