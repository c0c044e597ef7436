"""Server-sent events as a client of the tests reads them: the parser of the HTML standard, and a connection.

The parser follows the HTML Living Standard, section 9.2.6, to the letter, so that what the edge writes is read as a
browser would. `EventStream` speaks HTTP over a bare socket, and undoes chunks strictly (RFC 9112, section 7.1).
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

WAIT_SEC = 30.0
"""Bound of every wait. Only a failure meets it."""

_LINE_END = re.compile(r"\r\n|\n|\r")


class Event(NamedTuple):
    """What a page's listener gets.

    :param type: `message`, or what `event:` said.
    :param id: `lastEventId`.
    """

    type: str
    data: str
    id: str

    @property
    def value(self) -> Any:
        """The data as JSON."""
        return json.loads(self.data)


class EventParser:
    """Turns bytes into events.

    :param last_id: what was sent as `Last-Event-ID`.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        """What would be sent as `Last-Event-ID` now."""
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._type = self._id = ""
        self._id = last_id
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in this piece of the stream."""
        text = self._rest + self._decoder.decode(data)
        # A CR at the end may be half of a line end.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _LINE_END.split(text.removesuffix(held))
        self._rest = rest + held
        return [event for event in map(self._line, lines) if event is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_id = self._id
        event = Event(self._type or "message", "\n".join(self._data), self.last_id) if self._data else None
        self._type, self._data = "", []
        return event


class EventStream:
    """An open event stream, or the answer that came instead; an asynchronous context manager that closes it.

    :param status: of the response.
    :param headers: by lower-case name.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        status: int,
        headers: dict[str, str],
        parser: EventParser,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.status = status
        self.headers = headers
        self.parser = parser
        self.raw = b""
        """All of the body so far, without chunks."""
        self._left = int(headers["content-length"]) if "content-length" in headers else None
        self._is_chunked = headers.get("transfer-encoding") == "chunked"
        self._events: deque[Event] = deque()
        self._is_over = False

    @classmethod
    async def open(
        cls, url: str, target: str, *, last_id: str = "", headers: Mapping[str, str] | None = None, version: str = "1.1"
    ) -> Self:
        """Ask for the events of a target (path and query, as given), as `EventSource` does."""
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        sent = {"Host": address.netloc, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id:
            sent["Last-Event-ID"] = last_id
        sent |= headers or {}
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        lines = [f"GET {target} HTTP/{version}", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with asyncio.timeout(WAIT_SEC):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.rstrip("\r\n").split("\r\n")
        named = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        return cls(reader, writer, int(first.split(" ")[1]), named, EventParser(last_id))

    async def body(self) -> bytes:
        """The body of an answer that is no stream."""
        async with asyncio.timeout(WAIT_SEC):
            return await self.reader.readexactly(int(self.headers.get("content-length", 0)))

    async def error(self) -> Any:
        """The body of an error, from JSON."""
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return json.loads(await self.body())

    @property
    def last_id(self) -> str:
        """What a browser would send as `Last-Event-ID` now."""
        return self.parser.last_id

    @property
    def position(self) -> str:
        """The position in it."""
        return self.last_id.partition(".")[0]

    async def _piece(self) -> bytes:
        """Some more of the body; empty at its proper end.

        :raises ConnectionError: the connection has ended before the body.
        """
        try:
            if self._left is not None:
                data = await self.reader.read(min(65536, self._left))
                self._left -= len(data)
                return data
            if not self._is_chunked:
                return await self.reader.read(65536)
            size = int((await self.reader.readuntil(b"\r\n")).removesuffix(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
            assert data.endswith(b"\r\n"), "a chunk is longer than announced"
            return data[:-2]
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(f"the stream broke off: {error.partial!r}") from None

    async def _read(self) -> None:
        data = await self._piece()
        self.raw += data
        self._is_over = not data
        self._events.extend(self.parser.feed(data))

    async def event(self) -> Event:
        """The next event.

        :raises EOFError: the body has ended.
        :raises ConnectionError: the connection has been lost.
        """
        async with asyncio.timeout(WAIT_SEC):
            while not self._events:
                if self._is_over:
                    raise EOFError
                await self._read()
        return self._events.popleft()

    async def events(self, count: int) -> list[Event]:
        """The next `count` events."""
        return [await self.event() for _ in range(count)]

    async def values(self, count: int) -> list[Any]:
        """The data of the next `count` events, from JSON; they must be records."""
        events = await self.events(count)
        assert {event.type for event in events} <= {"message"}, events
        return [event.value for event in events]

    async def rest(self) -> list[Event]:
        """All events up to the end, which is a proper one, and unless the length was told of the connection too."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except EOFError:
            async with asyncio.timeout(WAIT_SEC):
                assert self._left == 0 or await self.reader.read() == b"", "something follows the end"
            return events

    async def until_over(self) -> list[Event]:
        """All events up to the end, or to where the connection breaks off."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except (ConnectionError, EOFError):
            return events

    async def closed(self) -> Any:
        """Wait for the end; returns what the `close` event says."""
        last = (await self.rest())[-1]
        assert last.type == "close"
        return last.value

    async def told(self, last_id: str = "") -> str:
        """Wait until there is an id, other than the one given, and return it; no event is used up."""
        async with asyncio.timeout(WAIT_SEC):
            while self.last_id in ("", last_id):
                assert not self._is_over
                await self._read()
        return self.last_id

    def close(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
