"""The filter service as a process, and what it says about itself: health, metrics, log."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.processes import Process, accepts_connections, free_port, inherited_environment, wait_until
from tests.prometheus import metric

NAME = "kafka_ws.filter.v1.FilterService"
PATIENCE_SEC = 40.0
"""A bound for waiting, so that a broken service fails the test; nothing is measured with it."""

QUICK: Mapping[str, str] = {
    "KAFKA_WS_FILTER_PROGRESS_INTERVAL_SEC": "0.2",
    "KAFKA_WS_FILTER_METADATA_INTERVAL_SEC": "0.5",
    "KAFKA_WS_SHUTDOWN_GRACE_SEC": "2",
}
"""Settings that let tests see within a second what operators see within several."""


def service_process(settings: Mapping[str, str], log_path: Path) -> Process:
    """`python -m filter_service`, not started yet, with nothing but these settings."""
    environment = inherited_environment({"PYTHONUNBUFFERED": "1", **settings})
    return Process("filter_service", [sys.executable, "-m", "filter_service"], log_path=log_path, env=environment)


class FilterService:
    """One process of the filter service.

    :param log_path: file for its output.
    :param bootstrap: Kafka's `host:port[,...]`.
    :param settings: environment variables on top of `QUICK`.
    """

    def __init__(self, log_path: Path, bootstrap: str, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._metrics_port = free_port()
        self.process = service_process(
            {
                **QUICK,
                "KAFKA_WS_FILTER_GRPC_PORT": str(self.port),
                "KAFKA_WS_METRICS_PORT": str(self._metrics_port),
                "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": bootstrap,
                **(settings or {}),
            },
            log_path,
        )

    @property
    def address(self) -> str:
        """`host:port` of its gRPC server."""
        return f"127.0.0.1:{self.port}"

    def start(self, wait_serving: bool = True) -> None:
        """Start it and wait until it serves, or only until it listens."""
        self.process.start()
        ready = self.is_serving if wait_serving else lambda: accepts_connections(self.port)
        self.process.wait_ready(ready, PATIENCE_SEC)

    def is_serving(self) -> bool:
        """What its health service says."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                # The published type stub has no methods.
                answer = stub.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=5)  # type: ignore[attr-defined]
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_serving(self, serving: bool) -> None:
        """Wait until its health service says so."""
        wait_until(lambda: self.is_serving() is serving, f"serving is {serving}", PATIENCE_SEC)

    def metric(self, name: str, label: str = "") -> float:
        """The sum of all samples of a metric (of those with this in their labels); 0 without any."""
        return metric(self._metrics_port, name, label)

    def wait_metric(self, name: str, least: float) -> None:
        """Wait until a metric has reached a value."""
        wait_until(lambda: self.metric(name) >= least, f"{name} reaches {least:g}", PATIENCE_SEC)

    def wait_nothing(self, name: str) -> None:
        """Wait until a metric is 0."""
        wait_until(lambda: self.metric(name) == 0, f"{name} is 0", PATIENCE_SEC)

    def faults(self) -> list[str]:
        """What it has logged since the test began at level error or above, and tracebacks."""
        found = []
        for line in self.process.log_since_mark().splitlines():
            try:
                level = json.loads(line).get("level")
            except ValueError:
                level = "error" if "Traceback" in line else ""
            if level in ("error", "critical"):
                found.append(line)
        return found
