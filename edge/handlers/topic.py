"""`GET /kafka-ws/v1/topics/{topic}`: the WebSocket endpoint (behaviour, sections 2 to 4, 8 and 9).

The checks, in order: path and method, origin, readiness (503), ticket (401), handshake (426, 400), then the
subscription is opened at the filter service, then `101`. A topic or query that is wrong is told by a close code right
after the `101`. What follows is `connection`'s.
"""

import socket
import time
from http import HTTPStatus
from typing import Any

import structlog
from kafka_ws.ticket.v1 import ticket_pb2
from tornado.websocket import WebSocketHandler

from edge import metrics
from edge.connection import Connection
from edge.errors import CloseCode, RefusedError, StreamEndedError, UnavailableError, cut_reason
from edge.handlers.base import BaseHandler
from edge.handshake import Handshake, inspect
from edge.keep_alive import Liveness, Sign
from edge.lifetime import LifetimeTimer, deadline
from edge.query import Parameter, decode_segment, select
from edge.subscription import StreamKey

_log = structlog.get_logger(__name__)

PREFIX = "/kafka-ws/v1/topics/"

_NOT_WEBSOCKET = "Invalid request - non-WebSocket connection received in WS endpoint"
_NO_CLOSE_FRAME = 1006
"""RFC 6455, section 7.1.5: the connection was lost without one."""


def topic_of(path: str) -> str:
    """The topic a path names; empty when it names none.

    Args:
        path: percent-encoded, beginning with `PREFIX`. One trailing slash is ignored.

    Raises:
        ValueError: its percent-encoding is malformed.
    """
    segment = path.removeprefix(PREFIX).removesuffix("/")
    return "" if "/" in segment else decode_segment(segment)


class TopicHandler(BaseHandler, WebSocketHandler):
    """One client, from its request to the end of its WebSocket."""

    endpoint = "topic"
    allowed = "GET"

    def initialize(self, edge: Any) -> None:
        """Called by Tornado with what the route holds."""
        super().initialize(edge)
        self._connection: Connection | None = None
        self._ending: StreamEndedError | None = None
        self._timer: LifetimeTimer | None = None
        self._ends_at: float | None = None
        self._is_gone = False
        self._holds_place = False
        self._sent_code: int | None = None
        self._liveness: Liveness | None = None
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
        try:
            topic = topic_of(self.request.path)
        except ValueError:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Bad Request") from None
        if not topic:
            raise RefusedError(HTTPStatus.NOT_FOUND, "Not Found")
        self._check_origin()
        if not self.edge.is_ready:
            raise UnavailableError("edge, filter service or ticket service")
        if not self.edge.enter(self):
            raise UnavailableError("edge: KAFKA_WS_SERVER_MAX_CONNECTIONS are open")
        self._holds_place = True
        query = select(self.request.query, "ticket", "where", "fields")
        grant = await self._redeem(query["ticket"])
        if not self._check_handshake():
            return False
        await self._subscribe(grant.tenant, topic, query["where"], query["fields"])
        settings = self.edge.settings
        self._ends_at = deadline(
            time.time(),
            settings.server_connection_max_life_time,
            grant.token_expires_at_ms / 1000,
            settings.server_jwt_exp_time,
        )
        return True

    def _check_origin(self) -> None:
        allowed = self.edge.settings.server_allowed_origins
        origin = self.request.headers.get("Origin")
        if allowed and origin is not None and origin not in allowed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Forbidden")

    async def _redeem(self, ticket: Parameter) -> ticket_pb2.Grant:
        if ticket.ambiguous:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Invalid ticket")
        if not ticket.value:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Missing ticket")
        return await self.edge.tickets.redeem(ticket.value)

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

    async def _subscribe(self, tenant: str, topic: str, where: Parameter, fields: Parameter) -> None:
        """Opens the subscription, or notes with which code to close after the `101`."""
        if not tenant or not topic.startswith(f"{tenant}."):
            self._ending = StreamEndedError.of(CloseCode.FORBIDDEN_TOPIC)
            return
        if where.ambiguous or fields.ambiguous:
            self._ending = StreamEndedError.of(CloseCode.INVALID_SYNTAX)
            return
        edge = self.edge
        connection = Connection(edge.subscriptions, edge.watch, edge.marks, self._end)
        try:
            await connection.subscribe(StreamKey(topic, where.value or "", fields.value or ""))
        except StreamEndedError as ended:
            self._ending = ended
            return
        self._connection = connection
        if self._is_gone:
            self._leave()

    # ----------------------------------------------------------------------------------------- Tornado's WebSocket side

    def check_origin(self, origin: str) -> bool:
        """Always: it is checked before, with a JSON answer."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        """The `101` is written, in this turn of the event loop."""
        if self._ending is not None:
            self._end(self._ending)
            return
        self.set_nodelay(True)
        if self._ends_at is not None:
            self._timer = LifetimeTimer(
                self._ends_at, lambda: self._end(StreamEndedError.of(CloseCode.EXPIRED_CONNECTION))
            )
        protocol = self.ws_connection
        if self._connection is not None and protocol is not None and protocol.stream is not None:
            if self.edge.settings.server_send_buffer:
                size = self.edge.settings.server_send_buffer
                protocol.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            self._connection.start(protocol.stream)
            self._liveness = self.edge.keep_alive.liveness()
            self.edge.keep_alive.add(self)

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
            code = int(self._sent_code or self.close_code or _NO_CLOSE_FRAME)
            metrics.CLOSES.labels(code if 1000 <= code <= 4999 else _NO_CLOSE_FRAME).inc()
            _log.info("WebSocket closed", code=code, request_id=self.request_id)
        self._leave()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait in this process for the client to take them."""
        return 0 if self._connection is None else self._connection.waiting_bytes

    def shut_down(self) -> None:
        """The process is about to end."""
        self._end(StreamEndedError.of(CloseCode.GOING_AWAY))

    def _end(self, ended: StreamEndedError) -> None:
        """Closes the WebSocket; what the kernel has not taken yet is sent before."""
        if self._sent_code is not None or self.ws_connection is None:
            return
        self._sent_code = ended.code
        if self._connection is not None:
            self._connection.release()
        self.close(ended.code, cut_reason(ended.reason))

    def _leave(self) -> None:
        """Gives back what this client holds. May be called any number of times."""
        if self._connection is not None:
            self._connection.release()
        if self._liveness is not None:
            self._liveness = None
            self.edge.keep_alive.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._holds_place:
            self._holds_place = False
            self.edge.leave(self)
