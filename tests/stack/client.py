"""A WebSocket and HTTP client of the edge, independent of the libraries that the edge is built on.

Coroutines for the event loop of a test. Every wait has a bound, so that a test fails instead of hanging.
"""

import asyncio
import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from tests.stack.tokens import TokenIssuer

WAIT_SEC = 30.0
"""Bound of every wait. Far above what anything takes; only a failure meets it."""

PREFIX = "/kafka-ws/v1"


class CloseEvent(NamedTuple):
    """How the server closed a socket."""

    code: int
    reason: str


@dataclass(frozen=True)
class HttpResponse:
    """The answer to a plain HTTP request."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Socket:
    """An open WebSocket; an asynchronous context manager that closes it.

    :param connection: of the websockets library, for what this class has no method for.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def text(self, wait_sec: float = WAIT_SEC) -> str:
        """The next message, which must be a text frame.

        :raises ConnectionClosed: when the server closes instead.
        :raises TimeoutError: after `wait_sec` seconds.
        """
        message = await asyncio.wait_for(self.connection.recv(), wait_sec)
        assert isinstance(message, str), "the server sent a binary frame"
        return message

    async def value(self, wait_sec: float = WAIT_SEC) -> Any:
        """The next message, decoded from JSON."""
        return json.loads(await self.text(wait_sec))

    async def values(self, count: int, wait_sec: float = WAIT_SEC) -> list[Any]:
        """The next `count` messages, decoded from JSON; `wait_sec` bounds the wait for each."""
        return [await self.value(wait_sec) for _ in range(count)]

    async def closed(self, wait_sec: float = WAIT_SEC) -> CloseEvent:
        """Wait until the server closes; what arrives before is dropped. Code 1006: the connection broke."""

        async def drain() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()

        await asyncio.wait_for(drain(), wait_sec)
        code, reason = self.connection.close_code, self.connection.close_reason
        return CloseEvent(1006 if code is None else code, reason or "")

    async def close(self) -> None:
        """Close from this side."""
        await asyncio.wait_for(self.connection.close(), WAIT_SEC)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Client:
    """Talks to one edge.

    :param url: the edge's `http://host:port`.
    :param tokens: issues the tokens of calls that give none.
    """

    def __init__(self, url: str, tokens: TokenIssuer) -> None:
        self.url = url
        self.tokens = tokens

    async def request(
        self, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """One plain HTTP request, sent as given: `target` (path and query) is not encoded or normalised."""
        return await asyncio.wait_for(asyncio.to_thread(self._request, method, target, dict(headers or {})), WAIT_SEC)

    def _request(self, method: str, target: str, headers: dict[str, str]) -> HttpResponse:
        address = urlsplit(self.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=WAIT_SEC)
        try:
            connection.request(method, target, headers=headers)
            response = connection.getresponse()
            return HttpResponse(response.status, response.headers, response.read())
        finally:
            connection.close()

    async def request_ticket(self, authorization: str | None) -> HttpResponse:
        """The ticket endpoint's answer to this `Authorization` header; None: no such header."""
        headers = {} if authorization is None else {"Authorization": authorization}
        return await self.request(f"{PREFIX}/ticket", headers=headers)

    async def get_ticket(self, tenant: str = "admin", *, token: str | None = None) -> str:
        """A ticket for a token; without one, for a good token of `tenant`."""
        response = await self.request_ticket(f"Bearer {self.tokens.token(tenant) if token is None else token}")
        assert response.status == 200, f"no ticket: {response.status} {response.body!r}"
        ticket = response.json()["ticket"]
        assert isinstance(ticket, str)
        return ticket

    @staticmethod
    def target(
        topic: str,
        *,
        ticket: str | None,
        where: str | None = None,
        fields: str | None = None,
        query: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """Path and query of a topic; None leaves a parameter out.

        :param query: raw text put behind the ticket, as it is, before the encoded parameters.
        :param parameters: more parameters, which are encoded.
        """
        named = {"where": where, "fields": fields, **(parameters or {})}
        given = {name: value for name, value in named.items() if value is not None}
        parts = [
            "" if ticket is None else urlencode({"ticket": ticket}),
            query or "",
            urlencode(given, quote_via=quote),
        ]
        text = "&".join(part for part in parts if part)
        return f"{PREFIX}/topics/{quote(topic, safe='')}" + (f"?{text}" if text else "")

    async def connect(
        self,
        topic: str,
        *,
        where: str | None = None,
        fields: str | None = None,
        query: str | None = None,
        parameters: Mapping[str, str] | None = None,
        tenant: str | None = None,
        token: str | None = None,
        ticket: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Socket:
        """Get a ticket (unless one is given) and open the topic.

        :param tenant: of the ticket; None: what stands before the topic's first dot.
        :param query: raw query text, see :meth:`target`.
        :raises websockets.exceptions.InvalidStatus: when the edge refuses the upgrade; `.response` has its answer.
        """
        if ticket is None:
            ticket = await self.get_ticket(topic.partition(".")[0] if tenant is None else tenant, token=token)
        target = self.target(topic, ticket=ticket, where=where, fields=fields, query=query, parameters=parameters)
        return await self.open(target, headers=headers)

    async def open(self, target: str, *, headers: Mapping[str, str] | None = None) -> Socket:
        """Open a WebSocket at a raw path and query.

        :raises websockets.exceptions.InvalidStatus: when the edge refuses the upgrade; `.response` has its answer.
        """
        connection = await connect_websocket(
            self.url.replace("http", "ws", 1) + target,
            additional_headers=dict(headers or {}),
            open_timeout=WAIT_SEC,
            close_timeout=WAIT_SEC,
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
        )
        return Socket(connection)
