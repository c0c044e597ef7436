"""The clients' own reading of frames and events, on bytes that come in any pieces."""

import pytest

from edge.frames import text_header
from tests.chaos.wire import CLOSE, PING, TEXT, Event, EventParser, FrameParser, WireError, client_frame


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 100_000])
def test_frames_in_pieces(size: int) -> None:
    """Frames of every length are found, however the network cuts them."""
    payloads = [b"", b"{}", b"x" * 125, b"y" * 126, b"z" * 65_535, b"!" * 65_536]
    data = b"".join(text_header(len(payload)) + payload for payload in payloads) + b"\x89\x01p" + b"\x88\x02\x03\xe9"
    parser = FrameParser()
    found = [frame for at in range(0, len(data), size) for frame in parser.feed(data[at : at + size])]
    assert found == [*((TEXT, payload) for payload in payloads), (PING, b"p"), (CLOSE, b"\x03\xe9")]


@pytest.mark.parametrize("frame", [b"\x01\x00", b"\x82\x00", b"\xc1\x00", b"\x81\x80\0\0\0\0"])
def test_frames_that_an_edge_never_sends(frame: bytes) -> None:
    """Fragments, binary frames, compression and masks are faults."""
    with pytest.raises(WireError):
        FrameParser().feed(frame)


def test_what_a_client_answers() -> None:
    """A client's frame is masked, as a server demands."""
    assert client_frame(PING, b"ab") == b"\x89\x82\0\0\0\0ab"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_events_in_pieces(size: int) -> None:
    """Events are found across chunks and pieces; comments and `retry` are none."""
    data = chunked(
        b"retry: 1000\n\n", b'id: a.b\ndata: {"n":1}\n\nid: c', b'.b\n\n:\n\nevent: close\ndata: {"code":1001}\n\n', b""
    )
    parser = EventParser()
    found = [event for at in range(0, len(data), size) for event in parser.feed(data[at : at + size])]
    assert found == [
        Event("a.b", "message", b'{"n":1}'),
        Event("c.b", "message", b""),
        Event("", "close", b'{"code":1001}'),
    ]
    assert parser.is_over
