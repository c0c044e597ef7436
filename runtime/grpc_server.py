"""A gRPC server with what every one needs: health, reflection, limits, keep-alive, an orderly end.

A service creates one `GrpcServer` on its event loop, adds its servicers to `.server`, starts it, reports its health
with `set_serving`, and drains it at the end. `CHANNEL_OPTIONS` are the matching options for clients.
"""

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime.settings import ConfigurationError

MESSAGE_SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of one message, both ways: a batch of large records has to fit."""

_KEEPALIVE_TIME_MS = 20_000
_KEEPALIVE_TIMEOUT_MS = 10_000

_SHARED_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MESSAGE_SIZE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_SIZE_LIMIT),
    # A peer whose machine vanished is noticed, on idle connections too.
    ("grpc.keepalive_time_ms", _KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    *_SHARED_OPTIONS,
    # gRPC's default backs off to two minutes, far longer than a tier's restart.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # The tiers are each other's neighbours: a proxy for the outside world is not in between.
    ("grpc.enable_http_proxy", 0),
)
"""Options of a client's channel to one of the services."""

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    *_SHARED_OPTIONS,
    # Half the clients' interval; a server cuts those off that ping more often than this.
    ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_TIME_MS // 2),
    # Without this, a second process on a taken port starts happily and gets half the connections.
    ("grpc.so_reuseport", 0),
)


class GrpcServer:
    """One listening gRPC server.

    Args:
        host: address or name to listen on.
        port: TCP port, 0 for any free one.
        credentials: from `runtime.tls.server_credentials`; None for plain text.
        service_names: full names of the services (`kafka_ws.ticket.v1.TicketService`), for health and reflection.
        options: channel arguments that are added to `SERVER_OPTIONS`, or override them.

    Attributes:
        server: the `grpc.aio.Server`, to add servicers to before `start`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        credentials: grpc.ServerCredentials | None,
        service_names: Sequence[str],
        options: Sequence[tuple[str, int | str]] = (),
    ) -> None:
        """Creates the server; must be called on the event loop that will run it."""
        self._host = host
        self._port = port
        self._credentials = credentials
        self._health = health.aio.HealthServicer()
        self._health_names = ("", *service_names)
        self._health_changes: set[asyncio.Task[None]] = set()
        self.server = grpc.aio.server(options=list({**dict(SERVER_OPTIONS), **dict(options)}.items()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        reflection.enable_server_reflection((*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME), self.server)

    async def start(self) -> str:
        """Listens; health is NOT_SERVING until `set_serving(True)`.

        Returns:
            The address in use, `host:port` (`[host]:port` for IPv6).

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        host = f"[{self._host}]" if ":" in self._host and not self._host.startswith("[") else self._host
        try:
            if self._credentials is None:
                port = self.server.add_insecure_port(f"{host}:{self._port}")
            else:
                port = self.server.add_secure_port(f"{host}:{self._port}", self._credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ConfigurationError(
                f"cannot listen on {host}:{self._port}: the host or port is wrong or in use "
                "(or the TLS certificate and key do not fit), see the variables ending in _GRPC_HOST and _GRPC_PORT."
            )
        await self.set_serving(False)
        await self.server.start()
        return f"{host}:{port}"

    def set_serving(self, serving: bool) -> asyncio.Task[None]:
        """Sets the health of all names, watchers are told. Ignored once draining.

        Needs not be awaited; the task ends when the change is visible to health checks.
        """
        change = asyncio.ensure_future(self._set_health(serving))
        self._health_changes.add(change)
        change.add_done_callback(self._health_changes.discard)
        return change

    async def drain(self, grace: float) -> None:
        """Ends: NOT_SERVING at once, no new calls, calls in progress have `grace` seconds, then are cancelled."""
        await asyncio.gather(*self._health_changes)
        await self._health.enter_graceful_shutdown()
        await self.server.stop(grace)

    async def _set_health(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._health_names:
            await self._health.set(name, status)
