"""`GET /kafka-ws/v1/topics/{topic}`: the WebSocket endpoint (behaviour, sections 2 to 4, 8 and 9).

After the checks of `stream` comes the handshake's form (426, 400), then the subscription is opened at the filter
service, then `101`. A topic or query that is wrong is told by a close code right after the `101`. What follows is
`connection`'s.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from tornado.websocket import WebSocketHandler

from edge import compression, metrics
from edge.errors import RefusedError, StreamEndedError, cut_reason
from edge.handlers.stream import NO_CLOSE_FRAME, StreamHandler
from edge.handshake import Handshake, inspect
from edge.keep_alive import Sign
from edge.socket_writer import SocketWriter
from edge.stream_request import Transport, parse

_log = structlog.get_logger(__name__)

_EXTENSIONS = "Sec-WebSocket-Extensions"

_RFC_CODES = range(1000, 1016)
"""RFC 6455, section 7.4.1."""

_NOT_WEBSOCKET = "Invalid request - non-WebSocket connection received in WS endpoint"


class TopicHandler(StreamHandler, WebSocketHandler):
    """One WebSocket."""

    endpoint = "topic"

    def initialize(self, edge: Any) -> None:
        """Called by Tornado with what the route holds."""
        super().initialize(edge)
        self._ending: StreamEndedError | None = None
        self._deadline: float | None = None
        self._sent_code: int | None = None
        self._is_compressed = False
        self._heard = 0

    async def get(self, *args: str, **kwargs: str) -> None:
        """Checks, opens, and upgrades; returns when the WebSocket has ended."""
        try:
            upgrade = await self._admit()
        except RefusedError as refused:
            self.refuse(refused)
            upgrade = False
        except BaseException:
            self._leave()
            raise
        if upgrade and not self._is_gone:
            # Returns at the end of the WebSocket.
            await super().get(*args, **kwargs)
        if self.ws_connection is None:
            self._leave()

    async def _admit(self) -> bool:
        """Everything before the `101`.

        Returns:
            Whether to upgrade; if not, the response is written.

        Raises:
            RefusedError: with what to answer instead.
        """
        topic, query = self._enter()
        async with self.edge.limiter.place():
            if self._is_gone:
                return False
            admission = await self._redeem(query["ticket"])
            if not self._check_handshake():
                return False
            try:
                self._check_tenant(admission.grant.tenant, topic)
                await self._subscribe(parse(topic, query, Transport.WEBSOCKET, compressed=self._agree_on_compression()))
            except StreamEndedError as ended:
                self._ending = ended
        self._deadline = self._ends_at(admission)
        return True

    def _check_handshake(self) -> bool:
        handshake = inspect(self.request.version, self.request.headers)
        if handshake is Handshake.MALFORMED:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Bad Request")
        if handshake is Handshake.PROPER:
            return True
        self.set_status(HTTPStatus.UPGRADE_REQUIRED)
        self.set_header("Upgrade", "websocket")
        self.set_header("Connection", "Upgrade")
        if handshake is Handshake.WRONG_VERSION:
            self.set_header("Sec-WebSocket-Version", "13")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(_NOT_WEBSOCKET)
        return False

    def _agree_on_compression(self) -> bool:
        """Whether this client's frames are compressed."""
        headers = self.request.headers
        if self.edge.settings.server_compression and compression.negotiate(headers.get(_EXTENSIONS, "")):
            # Tornado agrees to what is offered: that has to be what `frames` makes.
            headers[_EXTENSIONS] = compression.ANSWER
            self._is_compressed = True
        return self._is_compressed

    # ----------------------------------------------------------------------------------------- Tornado's WebSocket side

    def get_compression_options(self) -> dict[str, Any] | None:
        """Has Tornado confirm the compression, and read what the client compresses."""
        return {} if self._is_compressed else None

    def check_origin(self, origin: str) -> bool:
        """Always: it is checked before, with a JSON answer."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        """The `101` is written, in this turn of the event loop."""
        if self._ending is not None:
            self._end(self._ending)
            return
        self.set_nodelay(True)
        protocol = self.ws_connection
        if protocol is not None and protocol.stream is not None:
            self._limit_send_buffer(protocol.stream)
            self._begin(SocketWriter(protocol.stream), self._deadline)

    def on_message(self, message: str | bytes) -> None:
        """Ignores what clients say, but that they do."""
        self._heard += 1

    def on_pong(self, data: bytes) -> None:
        """The client lives."""
        self._heard += 1

    def on_ping(self, data: bytes) -> None:
        """The client lives; Tornado answers."""
        self._heard += 1

    def check_alive(self, now: float) -> None:
        """Pings the client, or drops it when it is dead (`KeepAlive`)."""
        protocol = self.ws_connection
        if self._liveness is None or self._connection is None or protocol is None or protocol.stream is None:
            return
        acknowledged, outstanding = self._connection.transfer()
        sign = self._liveness.visit(now, self._heard, acknowledged, outstanding)
        if sign is Sign.PING:
            self.ping()
        elif sign is Sign.DEAD:
            # No close frame: nobody would read it.
            protocol.stream.close()

    def on_close(self) -> None:
        """The socket is gone, maybe before it was a WebSocket."""
        self._is_gone = True
        if self._sent_code is not None or self.get_status() == HTTPStatus.SWITCHING_PROTOCOLS:
            code = int(self._sent_code or self.close_code or NO_CLOSE_FRAME)
            # Clients may send any of 64,000 codes: those that the RFC does not name are counted together.
            is_known = self._sent_code is not None or code in _RFC_CODES
            metrics.CLOSES.labels(code if is_known else "other").inc()
            _log.info("WebSocket closed", code=code, request_id=self.request_id)
        self._leave()

    def _end(self, ended: StreamEndedError) -> None:
        """Closes the WebSocket; what the kernel has not taken yet is sent before."""
        if self._sent_code is not None or self.ws_connection is None:
            return
        self._sent_code = ended.code
        if self._connection is not None:
            self._connection.release()
        self.close(ended.code, cut_reason(ended.reason))
