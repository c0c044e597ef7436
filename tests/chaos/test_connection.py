"""What a client of a chaos run takes for a stream."""

import asyncio

import pytest

from tests.chaos.connection import AWAY, RefusedError, Request, open_stream

_REQUEST = Request("/", {"Accept": "text/event-stream"})


class Nobody:
    """A taker that expects nothing."""

    def opened(self) -> None:
        """Of the `Taker` protocol."""

    def message(self, data: bytes, event_id: str) -> None:
        """Of the `Taker` protocol."""

    def received(self) -> None:
        """Of the `Taker` protocol."""

    def problem(self, text: str) -> None:
        """Of the `Taker` protocol."""
        raise AssertionError(text)


async def edge_that_answers(answer: bytes) -> tuple[asyncio.Server, str]:
    """A server that answers every request alike, and keeps the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", 401),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 13\r\n\r\nretry: 2000\n\n", AWAY),
    ],
)
async def test_what_is_no_stream(answer: bytes, status: int) -> None:
    """A refusal, and an answer that is complete, make the client try again: it does not wait for what never comes."""
    server, edge = await edge_that_answers(answer)
    async with server:
        with pytest.raises(RefusedError) as refused:
            await open_stream(edge, _REQUEST, Nobody())
    assert refused.value.status == status


async def test_a_stream() -> None:
    """An answer without an end is a stream."""
    server, edge = await edge_that_answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    async with server:
        stream = await open_stream(edge, _REQUEST, Nobody())
        assert not stream.closed.done()
        stream.abort()
