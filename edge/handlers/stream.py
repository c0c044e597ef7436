"""What the two ways to a topic's records share: who may come in, what is opened, and what is given back.

Base of `topic` (WebSockets) and `events` (server-sent events). The checks, in order: path and method, origin, readiness
(503), credentials (401), then what the transport itself needs; then the subscription is opened at the filter service.
"""

from __future__ import annotations

import socket
import time
from abc import abstractmethod
from http import HTTPStatus
from typing import Any

from tornado.iostream import IOStream

from edge.connection import Connection, SocketOutput
from edge.errors import CloseCode, RefusedError, StreamEndedError, UnavailableError
from edge.handlers.base import BaseHandler
from edge.keep_alive import Liveness
from edge.lifetime import LifetimeTimer, deadline
from edge.query import Parameter, decode_segment, select
from edge.stream_request import PARAMETERS, StreamRequest
from edge.ticket_client import Admission

PREFIX = "/kafka-ws/v1/topics/"

NO_CLOSE_FRAME = 1006
"""RFC 6455, section 7.1.5: the connection was lost without one."""


TOPIC_LENGTH_LIMIT = 1024
"""Characters. Kafka's names have at most 249; longer ones would only wait, and take memory, for as long as a client
stays."""


def topic_of(path: str) -> str:
    """The topic a path names; empty when it names none that a socket may wait for.

    Args:
        path: percent-encoded, beginning with `PREFIX`. One trailing slash is ignored.

    Raises:
        ValueError: its percent-encoding is malformed.
    """
    segment = path.removeprefix(PREFIX).removesuffix("/")
    topic = "" if "/" in segment else decode_segment(segment)
    return topic if len(topic) <= TOPIC_LENGTH_LIMIT else ""


class StreamHandler(BaseHandler):
    """One client of one topic, from its request to its end."""

    allowed = "GET"

    def initialize(self, edge: Any) -> None:
        """Called by Tornado with what the route holds."""
        super().initialize(edge)
        self._connection: Connection | None = None
        self._timer: LifetimeTimer | None = None
        self._liveness: Liveness | None = None
        self._is_gone = False
        self._holds_place = False

    def _enter(self) -> tuple[str, dict[str, Parameter]]:
        """Everything that is looked at before credentials.

        Returns:
            The topic, and the parameters of the query string.

        Raises:
            RefusedError: with what to answer instead.
        """
        try:
            topic = topic_of(self.request.path)
        except ValueError:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "Bad Request") from None
        if not topic:
            raise RefusedError(HTTPStatus.NOT_FOUND, "Not Found")
        allowed = self.edge.settings.server_allowed_origins
        origin = self.request.headers.get("Origin")
        if allowed and origin is not None and origin not in allowed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Forbidden")
        if not self.edge.is_ready:
            raise UnavailableError("edge, filter service or ticket service")
        if not self.edge.enter(self):
            raise UnavailableError("edge: KAFKA_WS_SERVER_MAX_CONNECTIONS are open")
        self._holds_place = True
        return topic, select(self.request.query, "ticket", *PARAMETERS)

    async def _redeem(self, ticket: Parameter, resume_topic: str = "") -> Admission:
        """Raises `RefusedError` without a good ticket."""
        if ticket.ambiguous:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Invalid ticket")
        if not ticket.value:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Missing ticket")
        return await self.edge.tickets.redeem(ticket.value, resume_topic)

    @staticmethod
    def _check_tenant(tenant: str, topic: str) -> None:
        """Raises `StreamEndedError` when a topic is not the tenant's."""
        if not tenant or not topic.startswith(f"{tenant}."):
            raise StreamEndedError.of(CloseCode.FORBIDDEN_TOPIC)

    async def _subscribe(self, request: StreamRequest) -> Connection:
        """Opens what the client asks for.

        Raises:
            StreamEndedError: it is wrong, or gone.
            UnavailableError: the filter service is away.
        """
        edge = self.edge
        connection = Connection(request, edge.subscriptions, edge.watch, edge.marks, self._end)
        await connection.subscribe()
        self._connection = connection
        if self._is_gone:
            self._leave()
        return connection

    def _ends_at(self, admission: Admission) -> float | None:
        """When the lifetime is over, from now on; seconds since the epoch."""
        settings = self.edge.settings
        return deadline(
            time.time(),
            settings.server_connection_max_life_time,
            admission.grant.token_expires_at_ms / 1000,
            settings.server_jwt_exp_time,
        )

    def _limit_send_buffer(self, stream: IOStream) -> None:
        """Has the kernel hold no more for this client than configured."""
        size = self.edge.settings.server_send_buffer
        if size:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _begin(self, output: SocketOutput, ends_at: float | None) -> None:
        """The request is answered: lets records flow, and looks after the socket."""
        if ends_at is not None:
            self._timer = LifetimeTimer(ends_at, lambda: self._end(StreamEndedError.of(CloseCode.EXPIRED_CONNECTION)))
        self._liveness = self.edge.keep_alive.liveness()
        self.edge.keep_alive.add(self)
        if self._connection is not None:
            self._connection.start(output)
        if self.edge.is_draining:
            # It was in its handshake when all others were told.
            self.shut_down()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait in this process for the client to take them."""
        return 0 if self._connection is None else self._connection.waiting_bytes

    def shut_down(self) -> None:
        """The process is about to end."""
        self._end(StreamEndedError.of(CloseCode.GOING_AWAY))

    @abstractmethod
    def check_alive(self, now: float) -> None:
        """Asks whether the client lives (`KeepAlive`)."""

    @abstractmethod
    def _end(self, ended: StreamEndedError) -> None:
        """Ends the stream, telling the client why; what waits is sent before. May be called any number of times."""

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
