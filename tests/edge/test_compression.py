"""permessage-deflate: what is agreed on, what a frame is made of, and that real clients read it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from edge.compression import negotiate
from edge.frames import FramedBatch, compressed_frame, text_frame
from tests.edge.conftest import MakeSystem, eventually
from tests.edge.test_frames import run


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        ("", False),
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", True),
        ('permessage-deflate;server_max_window_bits="15";client_no_context_takeover', True),
        ("x-webkit-deflate-frame, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
        ("permessage-deflate; novel", False),
        ("permessage-bzip2", False),
    ],
)
def test_offers(offers: str, accepted: bool) -> None:
    """Accepted is what lets one frame go to all sockets; malformed offers are passed over (RFC 7692, section 7.1)."""
    assert negotiate(offers) is accepted


_payloads = st.binary(max_size=400) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=50), st.integers(1, 4000))


@settings(deadline=None)
@given(_payloads)
def test_each_frame_is_complete_in_itself(payload: bytes) -> None:
    """A decompressor that has seen nothing before reads it; no frame is longer than without compression."""
    reader = StreamReader()
    reader.feed_data(compressed_frame(payload))
    extension = PerMessageDeflate(True, True, 15, 15)
    frame = run(Frame.parse(reader.read_exact, mask=False, extensions=[extension]))
    assert frame.opcode is Opcode.TEXT
    assert frame.fin
    assert frame.data == payload
    assert len(compressed_frame(payload)) <= len(text_frame(payload))


def test_a_value_is_compressed_once() -> None:
    """Subscriptions that take the same values get the same bytes objects joined, in their order."""
    values = [json.dumps({"number": number, "text": "again and " * 20}).encode() for number in range(3)]
    batch = FramedBatch(values)
    assert len(batch.select_compressed([0])) < len(batch.select([0])) // 2
    frames = [compressed_frame(value) for value in values]
    assert batch.select_compressed([0, 2]) == frames[0] + frames[2]
    assert batch.select_compressed([0, 1, 2]) == b"".join(frames)
    assert batch.select([1]) == FramedBatch(values).select([1])


async def test_clients_that_offer_it_and_those_that_do_not(make_system: MakeSystem) -> None:
    """Side by side on one topic, each reads every record; nothing is agreed on that was not offered."""
    system = await make_system(server_compression=True)
    url = f"ws://127.0.0.1:{system.port}"
    texts = [json.dumps({"n": number, "text": "x" * (number * 50)}) for number in range(30)]
    async with (
        connect(url + system.client.target("admin.t", ticket=system.ticket()), proxy=None) as compressed,
        connect(url + system.client.target("admin.t", ticket=system.ticket()), proxy=None, compression=None) as plain,
    ):
        assert compressed.response is not None
        assert plain.response is not None
        assert "permessage-deflate" in compressed.response.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in plain.response.headers
        # What the client says is compressed as well, and still ignored.
        await compressed.send("y" * 1000)
        for text in texts:
            system.logs.write("admin.t", text.encode())
        for socket in (compressed, plain):
            assert [await socket.recv() for _ in texts] == texts
    await eventually(lambda: not system.open_count, "everything is closed again")


async def test_it_is_off_unless_asked_for(make_system: MakeSystem) -> None:
    """Behaviour, section 2: no compression."""
    system = await make_system()
    url = f"ws://127.0.0.1:{system.port}" + system.client.target("admin.t", ticket=system.ticket())
    async with connect(url, proxy=None) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
