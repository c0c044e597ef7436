"""Questions to running parts: do you do your work now?

Asked by `supervisor` through `Part.is_ready`, on the launcher's event loop. Each function asks once, takes at most
`TIMEOUT_SEC`, and answers False for every way in which the answer can fail to come.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SEC = 2.0


async def redis_answers(host: str, port: int) -> bool:
    """Whether a Redis or Valkey server without a password answers PING."""
    return await _first_line(host, port, b"PING\r\n") == b"+PONG\r\n"


async def http_ok(host: str, port: int, path: str) -> bool:
    """Whether `GET path` is answered with status 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    status_line = await _first_line(host, port, request.encode("ascii"))
    return status_line.startswith(b"HTTP/1.1 200 ")


async def grpc_serves(address: str, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether the standard health service at `address` reports the whole server as SERVING."""
    # The tiers are on this machine: a proxy for the outside world is not in between.
    options = (("grpc.enable_http_proxy", 0),)
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=options)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=options)
    async with channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # the published type stub has no methods
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SEC)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _first_line(host: str, port: int, request: bytes) -> bytes:
    try:
        async with asyncio.timeout(TIMEOUT_SEC):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return b""
