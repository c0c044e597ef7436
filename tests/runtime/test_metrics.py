"""The Prometheus endpoint."""

import socket
import urllib.request

import pytest
from prometheus_client import Counter

from runtime import metrics
from runtime.settings import ConfigurationError
from tests.processes import free_port

EXAMPLES = Counter("runtime_test_examples", "Counted by this test.")
HOT_COUNTER = metrics.HotCounter("runtime_test_hot_examples", "Counted by this test, too.")
HOT_GAUGE = metrics.HotGauge("runtime_test_hot_level", "Set by this test.")


def test_metrics_are_served() -> None:
    """What the process counts can be read over HTTP."""
    port = free_port()
    metrics.serve("127.0.0.1", port)
    EXAMPLES.inc(3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        assert b"runtime_test_examples_total 3.0" in answer.read()


def test_hot_metrics_are_served_like_others() -> None:
    """A counter and a gauge of one thread have name, type and value as if they were prometheus_client's."""
    port = free_port()
    metrics.serve("127.0.0.1", port)
    HOT_COUNTER.inc(2)
    HOT_COUNTER.inc()
    HOT_GAUGE.set(1.5)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    assert "# TYPE runtime_test_hot_examples_total counter" in lines
    assert "runtime_test_hot_examples_total 3.0" in lines
    assert "# TYPE runtime_test_hot_level gauge" in lines
    assert "runtime_test_hot_level 1.5" in lines


def test_port_0_is_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off by default: nothing listens."""
    listening: list[object] = []
    monkeypatch.setattr(socket.socket, "listen", lambda *arguments: listening.append(arguments))
    metrics.serve("127.0.0.1", 0)
    assert listening == []


def test_a_taken_port_is_refused() -> None:
    """The error names the variables."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"KAFKA_WS_METRICS_PORT: cannot listen on 127.0.0.1:{port}"):
            metrics.serve("127.0.0.1", port)
