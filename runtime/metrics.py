"""The Prometheus endpoint of a process.

A service declares its metrics in its own `metrics` module and calls `serve` once at start. The endpoint runs on a
daemon thread of prometheus_client and reads values that any thread may change.
"""

import prometheus_client

from runtime.settings import ConfigurationError


def serve(host: str, port: int) -> None:
    """Serves `/metrics` on `host:port`; does nothing when `port` is 0.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    if port == 0:
        return
    try:
        prometheus_client.start_http_server(port, addr=host)
    except OSError as error:
        raise ConfigurationError(
            f"KAFKA_WS_METRICS_HOST, KAFKA_WS_METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}."
        ) from None
