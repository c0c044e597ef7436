"""The Prometheus endpoint of a process.

A service declares its metrics in its own `metrics` module and calls `serve` once at start. The endpoint runs on a
daemon thread of prometheus_client and reads values that any thread may change.
"""

from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.settings import ConfigurationError


class _OfOneThread(Collector):
    """A number that one thread changes, thousands of times a second: without the lock and the checks of
    prometheus_client's own, which take twenty times as long. The endpoint's thread only reads it.

    Args:
        name: of the metric.
        documentation: for whoever reads the endpoint.
    """

    def __init__(self, name: str, documentation: str) -> None:
        """Begins at 0, and is registered."""
        self.name = name
        self.documentation = documentation
        self.value: float = 0
        prometheus_client.REGISTRY.register(self)


class HotCounter(_OfOneThread):
    """A counter that one thread changes."""

    def inc(self, amount: float = 1) -> None:
        """Counts."""
        self.value += amount

    def collect(self) -> Iterator[Metric]:
        """Called by the endpoint."""
        yield CounterMetricFamily(self.name, self.documentation, self.value)


class HotGauge(_OfOneThread):
    """A gauge that one thread changes."""

    def set(self, value: float) -> None:
        """Takes a new value."""
        self.value = value

    def collect(self) -> Iterator[Metric]:
        """Called by the endpoint."""
        yield GaugeMetricFamily(self.name, self.documentation, self.value)


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
