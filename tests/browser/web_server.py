"""The web server that a page and the edge have in common, as README asks for: HTTPS, files, and `/kafka-ws/` behind it.

On one event loop. A request below `/kafka-ws/` has a connection to the edge of its own, and bytes are passed on as they
come. What happens while no edge is there is the test's choice: web servers answer 502, balancers end the connection.
Faults of the network are those of :class:`tests.chaos.proxy.Proxy`, which the browser connects to.
"""

import asyncio
import datetime
import ipaddress
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.chaos.proxy import Proxy
from tests.processes import free_port

_TYPES = {".html": "text/html; charset=utf-8", ".mjs": "text/javascript; charset=utf-8"}
_BLANK_PAGE = b"<!doctype html><title>A page of the tests</title>"
_PIECE = 64 * 1024


class Passed(NamedTuple):
    """A request that was for the edge.

    :param target: path and query.
    :param last_event_id: of the header; empty without one.
    """

    target: str
    last_event_id: str


class WebServer:
    """Serves one origin; an asynchronous context manager.

    :param edge_port: of the edge, on 127.0.0.1.
    :param directory: an existing folder, for its certificate.
    :param files: path -> file; besides, `/` is a blank page.
    """

    def __init__(self, edge_port: int, directory: Path, files: Mapping[str, Path] | None = None) -> None:
        self._edge_port = edge_port
        self._files = dict(files or {})
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(_certificate(directory))
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.network = Proxy(free_port(), self._port)
        """What lies between the browser and this server."""
        self.answers_for_the_edge = False
        """Whether requests get 502 while there is no edge; otherwise their connections end."""
        self.passed: list[Passed] = []
        """Requests for the edge, in order, those included that it did not answer."""

    @property
    def url(self) -> str:
        """What browsers know it by."""
        return f"https://{self.network.address}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=self._tls)
        await self.network.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.network.stop()
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                if target.startswith("/kafka-ws/"):
                    await self._pass_on(target, head, reader, writer)
                else:
                    await self._send_file(target.partition("?")[0], writer)
        finally:
            writer.transport.abort()

    async def _send_file(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/":
            await _answer(writer, "200 OK", _TYPES[".html"], _BLANK_PAGE)
        elif path in self._files:
            await _answer(writer, "200 OK", _TYPES[self._files[path].suffix], self._files[path].read_bytes())
        else:
            await _answer(writer, "404 Not Found", "text/plain", b"")

    async def _pass_on(
        self, target: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.passed.append(Passed(target, _header("Last-Event-ID", head)))
        try:
            from_edge, to_edge = await asyncio.open_connection("127.0.0.1", self._edge_port)
        except OSError:
            if self.answers_for_the_edge:
                await _answer(writer, "502 Bad Gateway", "text/plain", b"")
            return
        try:
            if not _header("Upgrade", head):
                # So that this connection carries no second request, which might be for a file.
                head = re.sub(r"^Connection: .*$", "Connection: close", head, flags=re.MULTILINE | re.IGNORECASE)
            to_edge.write(head.encode("latin-1"))
            up = asyncio.create_task(_copy(reader, to_edge))
            down = asyncio.create_task(_copy(from_edge, writer))
            # A browser has no half-open requests: whoever ends, ends both.
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
        finally:
            to_edge.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, up to the end."""
    with suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
        # What was passed on is taken before the connection ends.
        writer.close()
        await writer.wait_closed()


async def _answer(writer: asyncio.StreamWriter, status: str, kind: str, body: bytes) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def _header(name: str, head: str) -> str:
    """A header's value; empty without one."""
    found = re.search(rf"^{name}: *(.*?) *\r$", head, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _certificate(directory: Path) -> Path:
    """A file with a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    file = directory / "web-server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return file
