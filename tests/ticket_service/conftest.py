"""Fixtures of the ticket service's tests: the real service as a process, a client, a server of keys."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import grpc.aio
import pytest

from tests.processes import Process, inherited_environment
from tests.redis_server import RedisAddress
from tests.ticket_service.issuer import SECRET, KeySetServer
from tests.ticket_service.service import Client, service_process


class StartService(Protocol):
    """The `start_service` fixture."""

    def __call__(self, settings: Mapping[str, str]) -> "tuple[Process, str]":
        """Start the service with these variables and any free port; returns it and its address."""


class Connect(Protocol):
    """The `connect` fixture."""

    def __call__(self, address: str) -> Client:
        """A client of the service at this address, closed at the end of the test."""


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts the service as its users do; stopped at the end of the test."""
    processes: list[Process] = []

    def start(settings: Mapping[str, str]) -> tuple[Process, str]:
        log_path = tmp_path / f"ticket_service-{len(processes)}.log"
        process = service_process({"KAFKA_WS_TICKET_GRPC_PORT": "0", **settings}, log_path)
        processes.append(process)
        process.start()
        listening: list[dict[str, Any]] = []

        def listens() -> bool:
            lines = [line for line in process.log().splitlines(keepends=True) if line.endswith("}\n")]
            listening[:] = [event for event in map(json.loads, lines) if event["event"] == "listening"]
            return bool(listening)

        process.wait_ready(listens, 30)
        return process, listening[0]["address"]

    yield start
    for process in processes:
        process.stop()


@pytest.fixture(scope="module")
def service(redis_address: RedisAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service that verifies tokens with the issuer's secret, one for the module."""
    log_path = tmp_path_factory.mktemp("ticket-service") / "log"
    settings = {"KAFKA_WS_TICKET_GRPC_PORT": "0", "KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    process = service_process(settings, log_path)
    process.start()
    process.wait_ready(lambda: '"event": "ticket store answers"' in process.log(), 30)
    events = [json.loads(line) for line in process.log().splitlines()]
    yield next(event["address"] for event in events if event["event"] == "listening")
    process.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients of a running service."""
    clients: list[Client] = []

    def make(address: str) -> Client:
        client = Client(grpc.aio.insecure_channel(address))
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def key_set_server() -> Iterator[KeySetServer]:
    """A server of keys, without any at first."""
    server = KeySetServer()
    yield server
    server.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The test's own environment, without the developer's `KAFKA_WS_*` variables."""
    import os

    for name in set(os.environ) - set(inherited_environment({})):
        monkeypatch.delenv(name)
    return monkeypatch
