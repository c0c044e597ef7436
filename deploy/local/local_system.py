"""Which parts a local run has, with their addresses, and what there is to tell about them.

Built by `launcher` before anything starts; `supervisor` then runs the parts.
"""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import grpc

from deploy.local import demo_producer
from deploy.local.access_token import issue_token
from deploy.local.announcement import Announcement
from deploy.local.errors import PortInUseError, SettingError
from deploy.local.free_ports import FreePorts, is_free
from deploy.local.local_broker import local_broker
from deploy.local.local_redis import local_redis, redis_settings
from deploy.local.part import Part
from deploy.local.services import ServiceParts, peers
from deploy.local.settings import LOOPBACK, LocalRunSettings, python_environment
from deploy.local.table import Row


class LocalSystem:
    """The parts of one run and what is told about them.

    Args:
        settings: what to start.
        run_folder: for logs and status files.
        credentials: to ask gRPC services for their health; None: plain text.

    Raises:
        PortInUseError: an edge's port is taken.
        SettingError: a variable has a value that cannot be used.
    """

    def __init__(
        self, settings: LocalRunSettings, run_folder: Path, credentials: grpc.ChannelCredentials | None
    ) -> None:
        """Chooses ports and builds the parts; starts nothing."""
        self.settings = settings
        self.run_folder = run_folder
        self._ports = FreePorts(LOOPBACK)
        self._next_metrics_port = count(settings.metrics_port)
        self._stores: list[Part] = []
        self._demo: list[Part] = []
        self._edge_ports = [self._edge_port(number) for number in range(settings.edges)]
        self._ticket_port = self._ports.pick()
        self._filter_ports = [self._ports.pick() for _ in range(settings.filters)]
        services = ServiceParts(settings.service_environment, credentials, self._metrics_port)
        brokers, follows = self._kafka()
        self._back = [
            services.ticket_service(self._ticket_port, self._redis()),
            *(services.filter_service(n, port, brokers, follows) for n, port in enumerate(self._filter_ports, 1)),
        ]
        addresses = peers(self._ticket_port, self._filter_ports)
        self._edges = [
            services.edge(n, settings.edge_host, settings.url_host, port, addresses)
            for n, port in enumerate(self._edge_ports, 1)
        ]
        self.token = (
            issue_token(settings.token_secret, demo_producer.TENANT, settings.service_environment)
            if settings.token_secret
            else ""
        )

    @property
    def url(self) -> str:
        """Of the first edge."""
        return f"http://{self.settings.url_host}:{self._edge_ports[0]}"

    @property
    def topic(self) -> str:
        """With demo data; empty when there is none."""
        return demo_producer.TOPIC if self._demo else ""

    def in_order(self) -> list[list[Part]]:
        """What to start at the same time, one group after the other: an edge without its tiers would complain."""
        return [self._stores, self._back, [*self._edges, *self._demo]]

    def announcement(self, rows: Sequence[Row]) -> Announcement:
        """What to tell when everything runs, in these processes."""
        elsewhere = []
        if self.settings.brokers:
            elsewhere.append(f"Kafka at {self.settings.brokers} is used; there is no demo data.")
        if self.settings.has_redis:
            host = self.settings.service_environment.get("KAFKA_WS_REDIS_HOST", LOOPBACK)
            port = self.settings.service_environment.get("KAFKA_WS_REDIS_PORT", "6379")
            elsewhere.append(f"Redis at {host}:{port} is used.")
        if self.settings.metrics_port:
            last = self.settings.metrics_port + self.settings.filters + self.settings.edges
            elsewhere.append(
                f"Prometheus metrics at the ports {self.settings.metrics_port} to {last}: "
                "ticket service, filters, edges in this order."
            )
        return Announcement(
            self.run_folder,
            rows,
            elsewhere,
            self.token,
            self.topic,
            self.url,
            self._edge_ports[0],
        )

    def _redis(self) -> dict[str, str]:
        if self.settings.has_redis:
            return {}
        port = self._ports.pick()
        self._stores.append(local_redis(port))
        return redis_settings(port)

    def _kafka(self) -> tuple[Callable[[], str], tuple[str, ...]]:
        if self.settings.brokers:
            return lambda: self.settings.brokers, ()
        broker = local_broker(self.run_folder, python_environment)
        self._stores.append(broker)
        self._demo.append(demo_producer.demo_producer(self.run_folder, python_environment, broker))
        return broker.address, (broker.name,)

    def _edge_port(self, number: int) -> int:
        if not self.settings.edge_port:
            return self._ports.pick()
        port = self.settings.edge_port + number
        if port > 65535:
            raise SettingError("KAFKA_WS_SERVER_PORT", f"the ports of {self.settings.edges} edges end above 65535")
        try:
            free = is_free(self.settings.edge_host, port)
        except OSError as error:
            problem = f"cannot listen at {self.settings.edge_host}:{port} ({error.strerror})"
            raise SettingError("KAFKA_WS_SERVER_HOST, KAFKA_WS_SERVER_PORT", problem) from None
        if not free:
            raise PortInUseError(f"edge-{number + 1}", f"{self.settings.edge_host}:{port}")
        self._ports.reserve(port)
        return port

    def _metrics_port(self) -> int:
        return next(self._next_metrics_port) if self.settings.metrics_port else 0
