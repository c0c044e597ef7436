"""Requests and frames that no library sends, byte by byte, through the real tiers.

Each is answered, or its connection ended; afterwards the same edge serves the next client.
"""

import asyncio
import struct

import pytest

from tests.conftest import CreateTopic
from tests.edge.raw import HANDSHAKE, exchange, get
from tests.kafka.records import RecordWriter
from tests.stack.client import Client

TICKET = "/kafka-ws/v1/ticket"
TOPIC = "/kafka-ws/v1/topics/admin.t"
BOUND_SEC = 30.0
"""Of every wait; only a failure meets it."""

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
CONTINUATION = 0x0


def port_of(client: Client) -> int:
    return int(client.url.rpartition(":")[2])


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, length: int | None = None
) -> bytes:
    """A frame of a client, masked with zeros; `length` is what it claims to hold."""
    size = len(payload) if length is None else length
    first = bytes([final << 7 | reserved << 4 | opcode])
    if size < 126:
        head = bytes([0x80 | size])
    elif size < 65_536:
        head = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head = bytes([0x80 | 127]) + struct.pack("!Q", size)
    return first + head + bytes(4) + payload


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


ASK = frame(PING, b"?")
ANSWER = bytes([0x80 | PONG, 1]) + b"?"


async def status_of(client: Client, request: str | bytes) -> int:
    return (await exchange(port_of(client), request)).status


async def converse(client: Client, request: bytes, until: bytes = b"") -> tuple[bytes, bytes]:
    """Sends everything at once.

    :returns: the head of the response, and what followed it: up to `until`, or to the end of the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    received = b""
    try:
        async with asyncio.timeout(BOUND_SEC):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            while not until or until not in received:
                piece = await reader.read(65_536)
                if not piece:
                    break
                received += piece
    except ConnectionError:
        # The edge has closed while something was still on its way to it.
        head = b""
    finally:
        writer.close()
    return head, received


async def handshake(client: Client, headers: dict[str, str] | None = None, query: str = "") -> bytes:
    """A WebSocket handshake with a good ticket."""
    target = f"{TOPIC}?ticket={await client.get_ticket()}{query}"
    return get(target, HANDSHAKE | (headers or {})).encode("latin-1")


@pytest.fixture(autouse=True)
async def still_serves(client: Client) -> None:
    """What came before has left the edge alive; each test sees to the one before it, the last one to itself."""
    assert (await client.request("/readyz")).status == 200


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (f"GET {TICKET} HTTP/1.0", [], 401),
        (f"GET {TOPIC}?ticket=x HTTP/1.0", [], 401),
        (f"GET {TICKET} HTTP/1.1", [], 400),
        (f"GET {TICKET}", ["Host: e"], 400),
        (f"GET {TICKET} HTTP/2.0", ["Host: e"], 400),
        ("PRI * HTTP/2.0", [], 400),
        ("\x16\x03\x01\x02\x00\x01\x00", [], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: a", "Host: b"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: a b"], 400),
        (f"GET http://e{TICKET} HTTP/1.1", ["Host: e"], 404),
        (f"GET //{TOPIC[1:]}?ticket=x HTTP/1.1", ["Host: e"], 404),
        ("GET /kafka-ws/v1/topics/../ticket HTTP/1.1", ["Host: e"], 404),
        ("GET * HTTP/1.1", ["Host: e"], 404),
        (f"BREW {TICKET} HTTP/1.1", ["Host: e"], 405),
        (f"get {TICKET} HTTP/1.1", ["Host: e"], 405),
        (f"CONNECT {TOPIC}?ticket=x HTTP/1.1", ["Host: e"], 405),
        (f"GET {TOPIC} ?ticket=x HTTP/1.1", ["Host: e"], 400),
        (f"GET {TOPIC}\0?ticket=x HTTP/1.1", ["Host: e"], 400),
        (f"GET {TOPIC}\xe9?ticket=x HTTP/1.1", ["Host: e"], 400),
        (f"GET {TOPIC}\xc3\xa9?ticket=\xc3\xa9 HTTP/1.1", ["Host: e"], 401),
        (f"GET {TOPIC}#x?ticket=x HTTP/1.1", ["Host: e"], 401),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "no colon"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "A: b", " folded"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "A: b\0c"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Content-Length: x"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Content-Length: -1"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Content-Length: 99999999999"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Content-Length: 1", "Content-Length: 2"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Transfer-Encoding: gzip"], 400),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Authorization: Bearer \xe9\xff"], 401),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Authorization: Bearer\xa0x.y.z"], 401),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", "Authorization: Bearer a", "Authorization: Bearer b"], 401),
        (f"GET {TICKET} HTTP/1.1", ["Host: e", 'Cookie: "=;;a=\\777', "Range: bytes=0-1", "If-None-Match: *"], 401),
        (f"GET {TOPIC}?ticket=x HTTP/1.1", ["Host: e", "Accept: text/event-stream", "Last-Event-ID: \xe9.\xff.x"], 401),
        (f"GET {TOPIC}?ticket={'x' * 200_000} HTTP/1.1", ["Host: e"], 401),
        (f"GET /{'x' * 200_000} HTTP/1.1", ["Host: e"], 404),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, str) else None,
)
async def test_requests(client: Client, request_line: str, headers: list[str], status: int) -> None:
    """Each has one answer, and it is not 500."""
    assert await status_of(client, "\r\n".join([request_line, *headers, "", ""])) == status


async def test_line_ends_alone(client: Client) -> None:
    """A bare line feed ends a header; a bare carriage return is none, and cannot be used to send another header on."""
    assert await status_of(client, f"GET {TICKET} HTTP/1.1\nHost: e\n\n") == 401
    for text in ("a\rSet-Cookie: x", "a\n b", "a\0b"):
        response = await exchange(port_of(client), f"GET {TICKET} HTTP/1.1\r\nHost: e\r\nX-Request-Id: {text}\r\n\r\n")
        assert response.status == 400
        assert "set-cookie" not in response.headers
    for text in ("a\x85Set-Cookie: x", "a b", "\xe9", "x" * 129):
        response = await exchange(port_of(client), get(TICKET, {"Host": "e", "X-Request-Id": text}))
        assert len(response.headers["x-request-id"]) == 36


async def test_headers_beyond_the_limit(client: Client) -> None:
    """They end the connection."""
    for request in (get(TICKET, {"Host": "e", "A": "a" * 300_000}), get("/" + "a" * 300_000, {"Host": "e"})):
        with pytest.raises((ConnectionError, EOFError)):
            await exchange(port_of(client), request)


async def test_bodies_that_nobody_reads(client: Client) -> None:
    """Forms and compressed bodies, broken ones too, change nothing: the method decides."""
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded"):
        headers = {"Host": "e", "Content-Type": kind, "Content-Length": "5"}
        for method, expected in (("POST", {400, 405}), ("GET", {400, 401})):
            assert await status_of(client, get(TICKET, headers, method=method) + "a=%zz") in expected


async def test_pipelined_requests(client: Client) -> None:
    """Requests that are sent together are answered one after the other."""
    request = get(TICKET, {"Host": "e"}) * 2 + get("/healthz", {"Host": "e", "Connection": "close"})
    head, rest = await converse(client, request.encode())
    assert [(head + rest).count(f"HTTP/1.1 {status} ".encode()) for status in (401, 200)] == [2, 1]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBB=="}, 400),
        ({"Sec-WebSocket-Version": "13\r\nSec-WebSocket-Version: 13"}, 426),
        ({"Sec-WebSocket-Version": "13, 8"}, 426),
        ({"Upgrade": "websocket, h2c"}, 400),
        ({"Upgrade": "websocket\r\nUpgrade: websocket"}, 400),
        ({"Content-Length": "x"}, 400),
        ({"Content-Length": "99999999"}, 400),
    ],
)
async def test_handshakes_that_are_none(client: Client, changes: dict[str, str], status: int) -> None:
    """Repeated and listed headers of the handshake are refused."""
    assert await status_of(client, await handshake(client, changes)) == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive,, UPGRADE"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=99"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; a*=x''%zz; b*0*=utf-7''%ff"},
        {"Sec-WebSocket-Extensions": ';;,,=;x; y="\\'},
        {"Sec-WebSocket-Extensions": "a;" * 20_000},
        {"Sec-WebSocket-Protocol": ",,,"},
        {"Sec-WebSocket-Protocol": "\xff, chat, chat"},
        {"Origin": "\xff\x85"},
        {"Origin": "a\r\nOrigin: b"},
        {"Accept": "text/event-stream"},
        {"X-Forwarded-For": "<script>", "X-Scheme": "gopher"},
    ],
    ids=lambda headers: repr(headers)[:60],
)
async def test_handshakes_with_odd_headers(client: Client, headers: dict[str, str]) -> None:
    """What is not understood is not agreed to, and the WebSocket works; a ping sent along with it is answered."""
    head, rest = await converse(client, await handshake(client, headers) + ASK, until=ANSWER)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-extensions" not in head.lower()
    assert b"sec-websocket-protocol" not in head.lower()
    assert rest == ANSWER


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"Content-Length": "5"}, b"hello"), ({"Transfer-Encoding": "chunked"}, b"5\r\nhello\r\n0\r\n\r\n")],
)
async def test_handshake_with_a_body(client: Client, headers: dict[str, str], body: bytes) -> None:
    """A body is skipped, and what follows it is the first frame."""
    head, rest = await converse(client, await handshake(client, headers) + body + ASK, until=ANSWER)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest == ANSWER


@pytest.mark.parametrize(
    "frames",
    [
        frame(TEXT, "é".encode()),
        frame(BINARY, b"\xff\xfe"),
        frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"\xa9"),
        frame(TEXT, b"a", final=False) + frame(PING, b"!") + frame(CONTINUATION, b"b"),
        frame(TEXT, b"", final=False) + frame(CONTINUATION, b"", final=False) * 20_000 + frame(CONTINUATION),
        frame(TEXT, b"x" * 65_536),
        frame(PONG, b"unasked"),
        frame(PING, b"x" * 125),
        b"\x81\x02hi",
        frame(TEXT, b'{"where":"a=1;"}') * 1_000,
    ],
    ids=lambda frames: repr(frames[:12]),
)
async def test_frames_that_are_ignored(client: Client, frames: bytes) -> None:
    """Whatever a client says, the socket stays open, and the ping that follows is answered."""
    _, rest = await converse(client, await handshake(client) + frames + ASK, until=ANSWER)
    assert rest.endswith(ANSWER)


@pytest.mark.parametrize(
    "frames",
    [
        frame(TEXT, b"\xff\xfe"),
        frame(CONTINUATION, b"x"),
        frame(TEXT, b"x", final=False) + frame(TEXT, b"y"),
        frame(TEXT, b"x", reserved=4),
        frame(TEXT, b"x", reserved=2),
        frame(0x3, b"x"),
        frame(0xB, b"x"),
        frame(PING, b"x", final=False),
        frame(PING, b"x" * 126),
        frame(TEXT, b"x" * 65_537),
        frame(TEXT, b"x" * 60_000, final=False) + frame(CONTINUATION, b"x" * 60_000),
        frame(TEXT, b"x", length=2**62),
        frame(TEXT, b"x", length=2**64 - 1),
        close(1000, b"\xff\xfe"),
        close(1000, b"\xc3"),
    ],
    ids=lambda frames: repr(frames[:12]),
)
async def test_frames_that_end_the_connection(client: Client, frames: bytes) -> None:
    """What breaks the protocol, or is too large, ends this connection, and nothing else is sent on it."""
    _, rest = await converse(client, await handshake(client) + frames + ASK)
    assert ANSWER not in rest


@pytest.mark.parametrize("code", [None, 0, 999, 1000, 1001, 1005, 1006, 1015, 2999, 3000, 4403, 4999, 5000, 65_535])
async def test_closing(client: Client, code: int | None) -> None:
    """A close with any code, or none, is answered with a close, and the connection ends."""
    frames = frame(CLOSE) if code is None else close(code, b"bye")
    _, rest = await converse(client, await handshake(client) + frames * 2 + ASK)
    assert rest[:1] == bytes([0x80 | CLOSE])
    assert ANSWER not in rest


async def test_close_of_one_byte(client: Client) -> None:
    """A close frame that holds half a code ends the connection like any other."""
    _, rest = await converse(client, await handshake(client) + frame(CLOSE, b"\x03"))
    assert rest[:1] == bytes([0x80 | CLOSE])


async def test_half_closed_sockets(client: Client) -> None:
    """A client that says nothing more, in the middle of a frame too, is let go of; in time, the edge closes."""
    for frames in (b"", frame(TEXT, b"hello")[:4]):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
        writer.write(await handshake(client) + frames)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), BOUND_SEC) == b""
        writer.close()


async def test_clients_that_vanish(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Those that go in the middle of a head, or right after the handshake, leave those that stay what they get."""
    name = create_topic()
    async with await client.connect(name) as staying:
        for _ in range(20):
            whole = await handshake(client)
            for part in (whole[:40], whole, whole + frame(TEXT, b"x" * 100)[:50]):
                _, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
                writer.write(part)
                await writer.drain()
                writer.transport.abort()
        await asyncio.to_thread(records.write, name, b'{"a":1}')
        assert await staying.value() == {"a": 1}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("&where=caf\xc3\xa9=in:a;", None),
        ("&where=caf\xe9=in:a;", None),
        ("&where=%ff%fe=in:a;", None),
        ("&where=a%00=1;", 4000),
        ("&where=" + "%28" * 65_000, 4000),
        ("&where=" + "a=1;" * 16_000 + "a=1", 4000),
        ("&where=" + "a=1;" * 16_384, None),
        ("&where=" + "a=1;" * 16_384 + "b=1;", 4000),
        ("&fields=" + "(" * 65_000, 4000),
        ("&fields=" + "a/" * 4_000 + "a", 4000),
        ("&from=\xff", 4000),
        ("&from=2020-13-45T99:99", 4000),
        ("&from=" + "9" * 60_000, 4000),
        ("&from=" + "A" * 60_000, 4000),
        ("&until=1&until=2", 4000),
        ("&format=RECORD", 4000),
        ("&on_gap=x", 4000),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str) else None,
)
async def test_queries(client: Client, query: str, code: int | None) -> None:
    """A query of any length and of any bytes is a filter, or is refused with a close code: it is never dropped."""
    until = ANSWER if code is None else b""
    head, rest = await converse(client, await handshake(client, query=query) + ASK, until=until)
    assert head.startswith(b"HTTP/1.1 101 ")
    if code is None:
        assert rest == ANSWER
    else:
        assert rest[:1] == bytes([0x80 | CLOSE])
        assert struct.unpack("!H", rest[2:4]) == (code,)
