"""Fixtures of the filter service's tests: the real service as a process, and clients of it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.filter_service.client import Client
from tests.filter_service.service import FilterService
from tests.kafka.cluster import KafkaCluster


class StartService(Protocol):
    """The `start_service` fixture."""

    def __call__(
        self, settings: Mapping[str, str] | None = None, bootstrap: str | None = None, wait_serving: bool = True
    ) -> FilterService:
        """A started service of the test's own.

        :param bootstrap: another Kafka than the run's.
        :param wait_serving: whether to wait until it serves, or only until it listens.
        """


class Connect(Protocol):
    """The `connect` fixture."""

    def __call__(self, service: FilterService) -> Client:
        """A client with a connection of its own, closed at the end of the test."""


@pytest.fixture(scope="session")
def service(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilterService]:
    """One service for all tests of the run. Tests must not stop it."""
    service = FilterService(tmp_path_factory.mktemp("filter-service") / "log", kafka.bootstrap)
    service.start()
    yield service
    service.process.stop()


@pytest.fixture
def start_service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartService]:
    """Starts services that belong to the test; stopped at its end."""
    services: list[FilterService] = []

    def start(
        settings: Mapping[str, str] | None = None, bootstrap: str | None = None, wait_serving: bool = True
    ) -> FilterService:
        if bootstrap is None:
            bootstrap = request.getfixturevalue("kafka").bootstrap
        service = FilterService(tmp_path / f"filter_service-{len(services)}.log", bootstrap, settings)
        services.append(service)
        service.start(wait_serving)
        return service

    yield start
    for service in services:
        service.process.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients."""
    clients: list[Client] = []

    def make(service: FilterService) -> Client:
        client = Client(service.address)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(service: FilterService, connect: Connect) -> Client:
    """A client of the shared service."""
    return connect(service)


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a client sends, the shared service logs neither an error nor a traceback."""
    service: FilterService | None = None
    if "service" in request.fixturenames:
        service = request.getfixturevalue("service")
    yield
    if service is not None:
        assert service.faults() == []
