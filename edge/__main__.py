"""Starts one edge: `python -m edge`. Settings come from the environment, see `edge.config`."""

import asyncio
import resource

import structlog

from edge.application import make_server
from edge.config import EdgeSettings
from edge.limiter import Limiter
from edge.listener import Listener, listen
from edge.service import Edge
from runtime import event_loop, logs, memory, metrics, settings

_log = structlog.get_logger("edge")

_OTHER_FILES = 512
"""File descriptors for everything that is no WebSocket: gRPC, HTTP connections that ask for tickets."""


def _listen(host: str, port: int, limiter: Limiter) -> list[Listener]:
    try:
        return listen(host, port, limiter)
    except OSError as error:
        raise settings.ConfigurationError(
            f"KAFKA_WS_SERVER_HOST, KAFKA_WS_SERVER_PORT: cannot listen on {host}:{port}: {error.strerror}."
        ) from None


def _raise_file_limit(connections: int) -> None:
    """Each WebSocket is a file descriptor; the usual soft limit of 1,024 is far below what we may hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _log.warning("the limit of open files is below KAFKA_WS_SERVER_MAX_CONNECTIONS", files=allowed)


async def _serve(edge_settings: EdgeSettings) -> None:
    stop = event_loop.stop_signal()
    metrics.serve(edge_settings.metrics_host, edge_settings.metrics_port)
    _raise_file_limit(edge_settings.server_max_connections)
    edge = Edge(edge_settings)
    server = make_server(edge)
    sockets = _listen(edge_settings.server_host, edge_settings.server_port, edge.limiter)
    server.add_sockets(sockets)
    host, port = sockets[0].getsockname()[:2]
    _log.info("listening", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    background = asyncio.create_task(edge.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((background, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        edge.is_draining = True
        server.stop()
        await edge.drain(edge_settings.shutdown_grace_sec)
        await server.close_all_connections()
        background.cancel()
    # Without a signal it has failed: better to end, and be started again, than to go on with a part missing.
    await asyncio.gather(background, return_exceptions=stop.is_set())
    _log.info("stopped")


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    edge_settings = settings.load(EdgeSettings)
    logs.configure("edge", edge_settings.log_level, edge_settings.log_format)
    memory.tune()
    event_loop.run(_serve(edge_settings))


if __name__ == "__main__":
    main()
