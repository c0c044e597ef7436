"""`GET /kafka-ws/v1/topics/{topic}` with `Accept: text/event-stream`: the same records as server-sent events.

A browser's `EventSource` reconnects by itself, with the same URL (whose ticket is used up) and the last `id` that it
has seen in `Last-Event-ID`. So the id is

    <position> "." <resume credential> [ "." <position at which the stream ends> ]

and with it nothing is missed, and nothing comes twice. The first event tells one, before any record. Clients that can
send headers may use `Authorization: Bearer` instead of a ticket. Errors are HTTP statuses with the close code in the
body; what ends an open stream is told by an event of the type `close`. (HTML Living Standard, section 9.2.)

A browser gives up for good on any status but 200, and tries again after a stream that ends. So who comes again while
the edge cannot serve is not answered 503, as others are, but with a stream that ends at once.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import structlog
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, StreamClosedError
from tornado.routing import Matcher

from edge import metrics
from edge.encoding import closing_event
from edge.errors import CloseCode, RefusedError, StreamEndedError, UnavailableError
from edge.event_writer import EventWriter
from edge.handlers.stream import NO_CLOSE_FRAME, PREFIX, StreamHandler
from edge.keep_alive import Sign
from edge.position_token import PositionTokenError, TokenPosition, decode, encode
from edge.query import Parameter
from edge.socket_writer import SocketWriter
from edge.stream_request import StreamRequest, Transport, is_over, parse, start_at, stop_at
from edge.ticket_client import Admission

_log = structlog.get_logger(__name__)

_CONTENT_TYPE = "text/event-stream"

_KEEP_ALIVE = b":\n\n"
"""A comment: clients ignore it."""

RETRY_MS = range(500, 2_000)
"""Milliseconds after which a browser reconnects: others for each stream, so that when an edge has gone its clients do
not all knock at the next one at once. Browsers add nothing of that kind."""

RETRY_LATER_MS = range(2_000, 5_000)
"""The same while the service is away; holds until a stream says otherwise."""

_READ_SIZE = 4096

_LAST_WORDS_SEC = 5.0
"""How long a client may take to take what waits for it, the `close` event included; as Tornado's for WebSockets."""

_STATUSES: dict[int, HTTPStatus] = {
    CloseCode.NORMAL: HTTPStatus.NO_CONTENT,
    CloseCode.FORBIDDEN_TOPIC: HTTPStatus.FORBIDDEN,
    CloseCode.POSITION_GONE: HTTPStatus.GONE,
    CloseCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What a stream that cannot begin is answered with; other codes are 400. 204 keeps a browser from coming again."""


class WantsEvents(Matcher):
    """Matches requests for a topic's events."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """An empty mapping: yes. None: no."""
        accepted = request.headers.get("Accept", "")
        wants = any(part.partition(";")[0].strip().lower() == _CONTENT_TYPE for part in accepted.split(","))
        # An upgrade is a WebSocket, whatever else the client would accept.
        is_one = wants and request.path.startswith(PREFIX) and "Upgrade" not in request.headers
        return {} if is_one else None


class _LastEvent:
    """A `Last-Event-ID`.

    Args:
        text: value of the header; empty: there was none.
    """

    def __init__(self, text: str) -> None:
        self.position, _, rest = text.partition(".")
        self.credential, _, self.stop = rest.partition(".")


class EventsHandler(StreamHandler):
    """One event stream."""

    endpoint = "events"

    def initialize(self, edge: Any) -> None:
        """Called by Tornado with what the route holds."""
        super().initialize(edge)
        self._stream: IOStream | None = None
        self._output: EventWriter | None = None
        self._ended: StreamEndedError | None = None
        self._last_words: asyncio.TimerHandle | None = None

    async def get(self) -> None:
        """Checks, opens, and answers; returns when the stream has ended."""
        self.set_header("Cache-Control", "no-store")
        self._allow_origin()
        last = _LastEvent(self.request.headers.get("Last-Event-ID", "").strip())
        try:
            topic, query = self._enter()
            async with self.edge.limiter.place():
                if self._is_gone:
                    return
                admission = await self._admit(topic, query["ticket"], last)
                self._check_tenant(admission.grant.tenant, topic)
                connection = await self._subscribe(_resumed(parse(topic, query, Transport.EVENTS), last))
        except UnavailableError as unavailable:
            self._put_off(unavailable, last)
        except RefusedError as refused:
            self.refuse(refused)
        except StreamEndedError as ended:
            self._refuse_stream(ended)
        else:
            if not self._is_gone:
                stop = connection.stops
                ending = "" if stop is None else "." + encode(topic, TokenPosition(stop.next_offsets, stop.topic_id))
                await self._converse(admission.credential + ending, self._ends_at(admission))
        finally:
            self._leave()

    def _allow_origin(self) -> None:
        """Lets pages of other origins read the stream: they have shown a ticket, and no cookie counts here."""
        allowed = self.edge.settings.server_allowed_origins
        origin = self.request.headers.get("Origin")
        if origin is not None and (not allowed or origin in allowed):
            self.set_header("Access-Control-Allow-Origin", origin if allowed else "*")
            self.set_header("Vary", "Origin")

    async def _admit(self, topic: str, ticket: Parameter, last: _LastEvent) -> Admission:
        """Who the client is: by its token, by what it resumes with, or by its ticket."""
        authorization = self.request.headers.get("Authorization", "")
        # Browsers add `Basic` by themselves where a proxy has asked for it.
        if authorization.partition(" ")[0].lower() == "bearer":
            return await self.edge.tickets.verify(authorization, topic)
        if last.credential:
            try:
                return await self.edge.tickets.resume(last.credential, topic)
            except UnavailableError:
                raise
            except RefusedError:
                # Whoever has got a new ticket may still name its last event.
                if ticket.value is None:
                    raise
        return await self._redeem(ticket, topic)

    def _put_off(self, unavailable: UnavailableError, last: _LastEvent) -> None:
        """Something is away: answers so that a browser that comes again by itself goes on trying."""
        _log.info("refused", why=str(unavailable), endpoint=self.endpoint)
        if last.credential:
            ended = StreamEndedError.of(CloseCode.UNAVAILABLE)
            self.set_header("Content-Type", _CONTENT_TYPE)
            self.finish(_retry(RETRY_LATER_MS) + closing_event(ended.code, ended.reason))
        else:
            self.send_json(unavailable.status, {"message": unavailable.message, "code": CloseCode.UNAVAILABLE})

    def _refuse_stream(self, ended: StreamEndedError) -> None:
        status = _STATUSES.get(ended.code, HTTPStatus.BAD_REQUEST)
        # The reason may quote the query.
        _log.info("refused", code=ended.code, endpoint=self.endpoint)
        if status is HTTPStatus.NO_CONTENT:
            self.set_status(status)
            self.finish()
        else:
            self.send_json(status, {"message": ended.reason, "code": ended.code})

    async def _converse(self, credential: str, ends_at: float | None) -> None:
        """Answers, and returns when the client is gone or the stream has ended."""
        self.set_header("Content-Type", _CONTENT_TYPE)
        # Asks reverse proxies not to collect events.
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Connection", "close")
        try:
            await self.flush()
        except StreamClosedError:
            # It has just gone.
            return
        self.application.log_request(self)
        stream = self.detach()
        assert isinstance(stream, IOStream)  # noqa: S101  (an HTTP server's are)
        self._stream = stream
        stream.set_nodelay(True)
        self._limit_send_buffer(stream)
        is_chunked = self.request.version == "HTTP/1.1"
        self._output = EventWriter(SocketWriter(stream), credential, is_chunked=is_chunked)
        self._output.write(_retry(RETRY_MS))
        try:
            self._begin(self._output, ends_at)
            while True:
                # What a client sends on is ignored; reading notices that it has gone.
                await stream.read_bytes(_READ_SIZE, partial=True)
        except StreamClosedError:
            pass
        finally:
            stream.close()
            self._is_gone = True
            if self._last_words is not None:
                self._last_words.cancel()
            code = NO_CLOSE_FRAME if self._ended is None else self._ended.code
            metrics.CLOSES.labels(code).inc()
            _log.info("event stream closed", code=code, request_id=self.request_id)

    def on_connection_close(self) -> None:
        """The client has gone before it was answered."""
        self._is_gone = True
        self._leave()

    def check_alive(self, now: float) -> None:
        """Sends a comment to a quiet client, and drops one whose host takes nothing (`KeepAlive`)."""
        if self._liveness is None or self._connection is None or self._output is None or self._stream is None:
            return
        if self._ended is not None:
            return
        acknowledged, outstanding = self._connection.transfer()
        # There is no answer to events but that they are taken.
        sign = self._liveness.visit(now, acknowledged, acknowledged, outstanding)
        if sign is Sign.PING:
            self._output.write(_KEEP_ALIVE)
        elif sign is Sign.DEAD:
            self._stream.close()

    def _end(self, ended: StreamEndedError) -> None:
        """Tells the client why, and closes once it has taken everything."""
        stream = self._stream
        if self._ended is not None or self._output is None or stream is None or stream.closed():
            return
        self._ended = ended
        if self._connection is not None:
            self._connection.release()
        self._output.write(closing_event(ended.code, ended.reason))
        self._output.end()
        if stream.closed():
            # Writing has shown that the client is gone.
            return
        self._last_words = asyncio.get_running_loop().call_later(_LAST_WORDS_SEC, stream.close)

        def close(written: asyncio.Future[None]) -> None:
            # How it went does not matter any more, but has to be looked at.
            written.exception()
            stream.close()

        # Everything that waits is taken before.
        stream.write(b"").add_done_callback(close)


def _retry(times_ms: range) -> bytes:
    return b"retry: %d\n\n" % random.choice(times_ms)  # noqa: S311  (no secret)


def _resumed(request: StreamRequest, last: _LastEvent) -> StreamRequest:
    """The request, going on behind the last event.

    Raises:
        StreamEndedError: 4000, the id is none that was given for this topic; 1000, it was the last one.
    """
    topic = request.key.topic
    try:
        if last.position:
            request = replace(request, start=start_at(decode(topic, last.position)))
        if last.stop:
            request = replace(request, stop=stop_at(decode(topic, last.stop)))
    except PositionTokenError as error:
        raise StreamEndedError(CloseCode.INVALID_SYNTAX, f"invalid Last-Event-ID: as a position, {error}") from None
    if last.stop and is_over(request):
        raise StreamEndedError.of(CloseCode.NORMAL)
    return request
