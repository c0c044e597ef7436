"""Which parts a local run has, with their addresses, and what there is to tell about them.

Built by `launcher` before anything starts; `supervisor` then runs the parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
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
from deploy.local.settings import DEFAULT_REDIS_PORT, HIGHEST_PORT, LOOPBACK, LocalRunSettings, python_environment
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
        self._check_metrics_ports()
        services = ServiceParts(settings.service_environment, credentials, self._metrics_port)
        brokers, follows = self._kafka()
        self._back = [
            replace(services.ticket_service(self._ticket_port, self._redis()), waits_for=self._redis_used()),
            *(
                replace(services.filter_service(n, port, brokers, follows), waits_for=self._kafka_used())
                for n, port in enumerate(self._filter_ports, 1)
            ),
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
        if kafka := self._kafka_used():
            elsewhere.append(f"{kafka} is used; there is no demo data.")
        if redis := self._redis_used():
            elsewhere.append(f"{redis} is used.")
        if self.settings.metrics_port:
            elsewhere.append(
                f"Prometheus metrics at the ports {self.settings.metrics_port} to {self._last_metrics_port()}: "
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

    def _kafka_used(self) -> str:
        """The Kafka that was not started here, in words; empty when there is none."""
        return f"Kafka at {self.settings.brokers}" if self.settings.brokers else ""

    def _redis_used(self) -> str:
        """The Redis that was not started here, in words; empty when there is none."""
        if not self.settings.has_redis:
            return ""
        environment = self.settings.service_environment
        host, port = (environment.get(f"KAFKA_WS_REDIS_{name}") for name in ("HOST", "PORT"))
        return f"Redis at {host or LOOPBACK}:{port or DEFAULT_REDIS_PORT}"

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
        if port > HIGHEST_PORT:
            raise SettingError(
                "KAFKA_WS_SERVER_PORT", f"the ports of {self.settings.edges} edges end above {HIGHEST_PORT}"
            )
        try:
            free = is_free(self.settings.edge_host, port)
        except OSError as error:
            problem = f"cannot listen at {self.settings.edge_host}:{port} ({error.strerror})"
            raise SettingError("KAFKA_WS_SERVER_HOST, KAFKA_WS_SERVER_PORT", problem) from None
        if not free:
            raise PortInUseError(f"edge-{number + 1}", f"{self.settings.edge_host}:{port}")
        self._ports.reserve(port)
        return port

    def _last_metrics_port(self) -> int:
        return self.settings.metrics_port + self.settings.filters + self.settings.edges

    def _check_metrics_ports(self) -> None:
        if self.settings.metrics_port and self._last_metrics_port() > HIGHEST_PORT:
            services = 1 + self.settings.filters + self.settings.edges
            raise SettingError("KAFKA_WS_METRICS_PORT", f"the ports of {services} services end above {HIGHEST_PORT}")

    def _metrics_port(self) -> int:
        return next(self._next_metrics_port) if self.settings.metrics_port else 0
