"""What a server sends, from bytes to messages: WebSocket frames and server-sent events. Pure, and cheap.

A library's client costs some 50 µs a message; thirty clients at thousands of records a second would need a machine of
their own. These know no more than what the edge may send, and refuse anything else.
"""

from typing import NamedTuple

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80


class WireError(Exception):
    """The server has sent what it must not send."""


class FrameParser:
    """Frames of a server (RFC 6455, section 5.2): unmasked, not fragmented, text or control."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now, as (opcode, payload).

        :raises WireError: at a frame that an edge does not send.
        """
        if self._rest:
            data = self._rest + data
        frames: list[tuple[int, bytes]] = []
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            begin = at + 2
            if length == 126:
                begin += 2
                length = int.from_bytes(data[at + 2 : begin], "big")
            elif length == 127:
                begin += 8
                length = int.from_bytes(data[at + 2 : begin], "big")
            elif length > 127:
                raise WireError("a masked frame")
            end = begin + length
            if end > size or begin > size:
                break
            opcode = first & 0x0F
            if not first & _FINAL or first & 0x70 or opcode not in (TEXT, CLOSE, PING, PONG):
                raise WireError(f"a frame that begins with {first:#x}")
            frames.append((opcode, data[begin:end]))
            at = end
        self._rest = data[at:]
        return frames


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A control frame of a client. Its mask is zero: it hides nothing, but has to be there."""
    return bytes((_FINAL | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


class Event(NamedTuple):
    """One server-sent event; `data` is empty when it only sets the id."""

    id: str
    type: str
    data: bytes


class EventParser:
    """Server-sent events in a chunked body (HTML Living Standard, section 9.2; RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self._chunks = b""
        self._text = b""
        self.is_over = False
        """Whether the last chunk has come."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now.

        :raises WireError: when the body is malformed.
        """
        self._chunks += data
        body, at = [], 0
        while (line := self._chunks.find(b"\r\n", at)) >= 0:
            begin = line + 2
            end = begin + int(self._chunks[at:line], 16)
            if end + 2 > len(self._chunks):
                break
            if self._chunks[end : end + 2] != b"\r\n":
                raise WireError("a chunk that does not end where it says")
            self.is_over = begin == end
            body.append(self._chunks[begin:end])
            at = end + 2
        self._chunks = self._chunks[at:]
        *blocks, self._text = (self._text + b"".join(body)).split(b"\n\n")
        return [event for block in blocks if (event := _event(block)) is not None]


def _event(block: bytes) -> Event | None:
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b": ")
        fields[name] = value
    if b"id" not in fields and b"data" not in fields:
        return None
    return Event(fields.get(b"id", b"").decode(), fields.get(b"event", b"message").decode(), fields.get(b"data", b""))
