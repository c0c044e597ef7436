"""An edge in the test's process, between a ticket service and filter replicas that tests control."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from tornado.httpserver import HTTPServer

from edge.application import make_server
from edge.config import EdgeSettings
from edge.listener import listen
from edge.service import Edge
from tests.edge.replica import Logs, Replica
from tests.edge.tickets import Tickets
from tests.stack.client import Client, Socket
from tests.stack.tokens import TokenIssuer

_BOUND_SEC = 20.0
"""Of every wait; only a failure meets it."""


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Let the event loop turn until `condition()` holds."""
    try:
        async with asyncio.timeout(_BOUND_SEC):
            while not condition():  # noqa: ASYNC110  (nobody signals the states that tests look at)
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


class System:
    """The edge and what it talks to.

    :param replicas: running filter replicas.
    """

    def __init__(self, edge: Edge, server: HTTPServer, port: int, replicas: list[Replica], tickets: Tickets) -> None:
        self.edge = edge
        self.server = server
        self.port = port
        self.replicas = replicas
        self.logs = replicas[0].logs
        self.tickets = tickets
        self.client = Client(f"http://127.0.0.1:{port}", TokenIssuer())
        self._numbers = itertools.count()

    def ticket(self, tenant: str = "admin") -> str:
        """A fresh ticket."""
        return f"{tenant}:{next(self._numbers)}"

    async def connect(self, topic: str = "admin.t", **parameters: Any) -> Socket:
        """Open a WebSocket."""
        return await self.client.connect(topic, ticket=self.ticket(), **parameters)

    @property
    def open_count(self) -> int:
        """Subscriptions open at all replicas."""
        return sum(replica.open_count for replica in self.replicas)

    def holder(self) -> Replica:
        """The one replica at which something is open."""
        (holder,) = [replica for replica in self.replicas if replica.open_count]
        return holder


class MakeSystem(Protocol):
    """The `make_system` fixture."""

    def __call__(
        self, *, replicas: int = 1, batch: int = 10, wait_ready: bool = True, **settings: Any
    ) -> Awaitable[System]:
        """A running system; `settings` are fields of `EdgeSettings`."""


@pytest.fixture
async def make_system() -> AsyncIterator[MakeSystem]:
    """Starts systems, ended with the test."""
    async with AsyncExitStack() as stack:

        async def make(*, replicas: int = 1, batch: int = 10, wait_ready: bool = True, **settings: Any) -> System:
            tickets = Tickets()
            ticket_address = await tickets.start()
            stack.push_async_callback(tickets.stop)
            logs = Logs()
            started = [Replica(logs, batch) for _ in range(replicas)]
            addresses = []
            for replica in started:
                addresses.append(await replica.start())
                stack.push_async_callback(replica.kill)
            edge = Edge(
                EdgeSettings(
                    filter_address=tuple(addresses),
                    ticket_address=ticket_address,
                    **{"server_linger_sec": 0.0, "filter_resolve_interval_sec": 0.1, **settings},
                )
            )
            server = make_server(edge)
            sockets = listen("127.0.0.1", 0, edge.limiter)
            server.add_sockets(sockets)
            background = asyncio.create_task(edge.run())

            async def stop() -> None:
                server.stop()
                await edge.drain(2.0)
                background.cancel()
                await asyncio.gather(background, return_exceptions=True)

            stack.push_async_callback(stop)
            system = System(edge, server, sockets[0].getsockname()[1], started, tickets)
            if wait_ready:
                ready = [f"{replica.port}" for replica in started]
                await eventually(
                    lambda: (
                        edge.is_ready
                        and all(len(replica.sessions) == 1 for replica in started)
                        and edge.filter_client.ready_count == len(ready)
                    ),
                    "the edge is ready",
                )
            return system

        yield make
