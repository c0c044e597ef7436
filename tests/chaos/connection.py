"""One stream of one client: the request, its answer, and what comes then. For the event loop of a client process.

Opened by :mod:`tests.chaos.clients`; the bytes are taken apart by :mod:`tests.chaos.wire`.
"""

import asyncio
import socket
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import urlsplit

from tests.chaos.wire import CLOSE, PING, PONG, TEXT, EventParser, FrameParser, WireError, client_frame

GONE = 1006
"""Close code of a stream that ended without one (RFC 6455, section 7.1.5)."""

AWAY = 503

_COMPLETE = b"\r\ncontent-length:"
"""What the head of an answer has that is no stream."""

_RECEIVE_BUFFER = 64 * 1024
"""Bytes that the kernel may hold for a client: little, so that a stopped one is soon a slow one."""

_ANSWER_SEC = 8.0
"""How long an edge may take to answer a request before another one is asked."""

_REQUEST = "GET {target} HTTP/1.1\r\n{headers}\r\n"


class Taker(Protocol):
    """Who gets what comes."""

    def opened(self) -> None:
        """The answer is there; messages follow."""

    def message(self, data: bytes, event_id: str) -> None:
        """One text frame, or one event with its id."""

    def received(self) -> None:
        """That were all messages for now."""

    def problem(self, text: str) -> None:
        """The edge has sent what it must not send; the stream ends."""


class RefusedError(Exception):
    """The edge has answered with something else than what was asked for; `status` is 0 when it has not answered."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:200]!r}")
        self.status = status


@dataclass(frozen=True)
class Request:
    """What is sent to an edge.

    :param target: path and query.
    :param headers: names and values.
    :param status: what the answer must begin with.
    """

    target: str
    headers: dict[str, str]
    status: int = 200

    def encode(self) -> bytes:
        """As it is sent."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": "edge"} | self.headers).items())
        return _REQUEST.format(target=self.target, headers=lines).encode()


class Stream(asyncio.Protocol):
    """An open stream.

    :param request: what to ask for.
    :param taker: gets the messages.
    """

    def __init__(self, request: Request, taker: Taker) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._taker = taker
        self._transport: asyncio.Transport | None = None
        self._frames = FrameParser() if request.status == 101 else None
        self._events = EventParser()
        self._head = b""
        self._code: int | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        """Done when the answer is there; its exception says why the stream is not open."""
        self.closed: asyncio.Future[int] = loop.create_future()
        """The close code, once the stream is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            status = int(head.split(b" ", 2)[1])
            if status != self._request.status:
                self.opened.set_exception(RefusedError(status, data))
                self.abort()
                return
            if _COMPLETE in head.lower():
                # Who comes again while something is away gets a stream that ends at once (edge/handlers/events.py).
                self.opened.set_exception(RefusedError(AWAY, data))
                self.abort()
                return
            self._taker.opened()
            self.opened.set_result(None)
        try:
            if self._frames is None:
                self._take_events(data)
            else:
                self._take_frames(self._frames, data)
        except (WireError, ValueError, LookupError) as error:
            self._taker.problem(f"cannot be read: {error!r}")
            self.abort()
        self._taker.received()

    def _take_frames(self, parser: FrameParser, data: bytes) -> None:
        take = self._taker.message
        for opcode, payload in parser.feed(data):
            if opcode == TEXT:
                take(payload, "")
            elif opcode == PING:
                self._write(client_frame(PONG, payload))
            elif opcode == CLOSE:
                self._code = int.from_bytes(payload[:2], "big") if payload else GONE
                self._write(client_frame(CLOSE, payload[:2]))

    def _take_events(self, data: bytes) -> None:
        for event in self._events.feed(data):
            if event.type == "close":
                # {"code":1001,"reason":"..."}
                self._code = int(event.data.partition(b'"code":')[2].split(b",")[0])
            elif event.type == "message":
                self._taker.message(event.data, event.id)
            else:
                raise WireError(f"an event of the type {event.type}")

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(RefusedError(0, str(exc or "connection closed").encode()))
            # Whoever has stopped waiting does not want to know.
            self.opened.exception()
        if not self.closed.done():
            self.closed.set_result(GONE if self._code is None else self._code)

    def abort(self) -> None:
        """Ends it from this side."""
        if self._transport is not None:
            self._transport.abort()


async def open_stream(edge: str, request: Request, taker: Taker) -> Stream:
    """Asks an edge for a stream.

    :param edge: its `http://host:port`.
    :raises RefusedError: it does not give it.
    :raises OSError: it cannot be reached.
    :raises TimeoutError: it does not answer.
    """
    address = urlsplit(edge)
    assert address.hostname is not None
    loop = asyncio.get_running_loop()
    endpoint = socket.socket()
    endpoint.setblocking(False)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    stream = None
    try:
        async with asyncio.timeout(_ANSWER_SEC):
            await loop.sock_connect(endpoint, (address.hostname, address.port))
            _, stream = await loop.create_connection(lambda: Stream(request, taker), sock=endpoint)
            await asyncio.shield(stream.opened)
    except BaseException:
        if stream is None:
            endpoint.close()
        else:
            stream.abort()
        raise
    return stream


async def fetch(edge: str, request: Request) -> bytes:
    """The body of an answer that is complete when the edge closes.

    :raises RefusedError: its status is another.
    :raises OSError: the edge cannot be reached.
    :raises TimeoutError: it does not answer.
    """
    address = urlsplit(edge)
    async with asyncio.timeout(_ANSWER_SEC):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(request.encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, separator, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if separator else 0
    if status != request.status:
        raise RefusedError(status, body)
    return body
