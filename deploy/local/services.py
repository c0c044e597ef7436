"""The three services as parts of the local run, each with the addresses it needs.

Built by `launcher`. Addresses are chosen before anything starts, so the services can start side by side, and return at
the same address after a crash; only the local broker's address may change.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc

from deploy.local import readiness
from deploy.local.part import Layer, Part
from deploy.local.settings import LOOPBACK

READY_PATH = "/readyz"
"""The edge answers 200 there when it, the ticket service and a filter can serve clients."""


@dataclass(frozen=True)
class ServiceParts:
    """Builds the parts.

    Attributes:
        environment: what every service inherits.
        credentials: to ask gRPC services for their health; None: plain text.
        metrics_ports: gives the port of the next service's Prometheus endpoint; 0: none.
    """

    environment: Mapping[str, str]
    credentials: grpc.ChannelCredentials | None
    metrics_ports: Callable[[], int] = field(default=lambda: 0)

    def ticket_service(self, port: int, redis: Mapping[str, str]) -> Part:
        """The ticket service.

        Args:
            port: TCP port it listens on.
            redis: variables that name a Redis; empty when they are inherited.
        """
        own = {**redis, "KAFKA_WS_TICKET_GRPC_HOST": LOOPBACK, "KAFKA_WS_TICKET_GRPC_PORT": str(port)}
        return self._grpc_service("ticket-service", Layer.TICKET_SERVICE, "ticket_service", port, lambda: own)

    def filter_service(self, number: int, port: int, brokers: Callable[[], str], follows: Sequence[str]) -> Part:
        """One filter.

        Args:
            number: counted from 1.
            port: TCP port it listens on.
            brokers: gives the Kafka addresses.
            follows: names of the parts they belong to.
        """

        def own() -> dict[str, str]:
            return {
                "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": brokers(),
                "KAFKA_WS_FILTER_GRPC_HOST": LOOPBACK,
                "KAFKA_WS_FILTER_GRPC_PORT": str(port),
            }

        return self._grpc_service(f"filter-{number}", Layer.FILTERS, "filter_service", port, own, follows)

    def edge(self, number: int, host: str, url_host: str, port: int, peers: Mapping[str, str]) -> Part:
        """One edge.

        Args:
            number: counted from 1.
            host: address it listens on.
            url_host: where it is reached from this machine; in brackets for IPv6.
            port: TCP port it listens on.
            peers: variables that name the ticket service and the filters.
        """
        own = {
            **peers,
            "KAFKA_WS_SERVER_HOST": host,
            "KAFKA_WS_SERVER_PORT": str(port),
            "KAFKA_WS_METRICS_PORT": str(self.metrics_ports()),
        }

        async def is_ready(_pid: int) -> bool:
            return await readiness.http_ok(url_host.strip("[]"), port, READY_PATH)

        return Part(
            name=f"edge-{number}",
            layer=Layer.EDGES,
            command=(sys.executable, "-m", "edge"),
            environment=lambda: {**self.environment, **own},
            address=lambda: f"{url_host}:{port}",
            is_ready=is_ready,
        )

    def _grpc_service(
        self,
        name: str,
        layer: Layer,
        module: str,
        port: int,
        own: Callable[[], Mapping[str, str]],
        follows: Sequence[str] = (),
    ) -> Part:
        address = f"{LOOPBACK}:{port}"
        metrics = {"KAFKA_WS_METRICS_PORT": str(self.metrics_ports())}

        async def is_ready(_pid: int) -> bool:
            return await readiness.grpc_serves(address, self.credentials)

        return Part(
            name=name,
            layer=layer,
            command=(sys.executable, "-m", module),
            environment=lambda: {**self.environment, **metrics, **own()},
            address=lambda: address,
            is_ready=is_ready,
            follows=follows,
        )


def peers(ticket_port: int, filter_ports: Sequence[int]) -> dict[str, str]:
    """The variables that tell an edge where the other tiers are."""
    return {
        "KAFKA_WS_TICKET_ADDRESS": f"{LOOPBACK}:{ticket_port}",
        "KAFKA_WS_FILTER_ADDRESS": ",".join(f"{LOOPBACK}:{port}" for port in filter_ports),
    }
