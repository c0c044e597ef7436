"""HTTP over a bare socket, for requests that a library would not send or would make better, in all tests."""

import asyncio
from dataclasses import dataclass

_BOUND_SEC = 20.0


@dataclass(frozen=True)
class RawResponse:
    """What came back.

    :param status: of the response.
    :param headers: by lower-case name.
    :param rest: everything after the headers, until the peer closed or went quiet.
    """

    status: int
    headers: dict[str, str]
    rest: bytes


async def exchange(port: int, request: bytes | str) -> RawResponse:
    """Send bytes, and read the headers and, by `Content-Length`, the body of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        encoded = request.encode("latin-1") if isinstance(request, str) else request
        writer.write(encoded)
        async with asyncio.timeout(_BOUND_SEC):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            status = int(first.split(" ")[1])
            rest = b""
            if not encoded.startswith(b"HEAD "):
                rest = await reader.readexactly(int(headers.get("content-length", 0)))
    finally:
        writer.close()
    return RawResponse(status, headers, rest)


HANDSHAKE = {
    "Host": "edge",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}


def get(target: str, headers: dict[str, str] | None = None, *, method: str = "GET", version: str = "HTTP/1.1") -> str:
    """The text of a request."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""])
