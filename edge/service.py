"""The parts of a running edge, and its beginning and end. Made by `__main__`, known to the handlers."""

import asyncio
from typing import Protocol

import structlog

from edge import metrics
from edge.config import EdgeSettings
from edge.fan_out import Writer
from edge.filter_client import FilterClient
from edge.keep_alive import KeepAlive
from edge.limiter import Limiter
from edge.slow_consumer import LagWatch, Marks
from edge.subscriptions import Subscriptions
from edge.ticket_client import TicketClient

_log = structlog.get_logger(__name__)

_CLOSE_SPREAD_SHARE = 0.6
"""Part of the grace period over which clients are told to go; the rest is for their answers."""

_CLOSE_SPREAD_SEC = 0.002
"""Most seconds between two clients: a few are told at once."""


class Client(Protocol):
    """A WebSocket or event stream, open or being opened."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait in this process for the client to take them."""

    def shut_down(self) -> None:
        """Tells the client that the process is about to end."""


class Edge:
    """Everything the handlers need.

    Attributes:
        settings: as loaded.
        limiter: how many requests are worked on at once.
        tickets: the ticket service.
        filter_client: the filter service.
        subscriptions: what is open there.
        watch: looks after slow sockets.
        marks: when a socket counts as slow.
        keep_alive: pings them all.
        is_draining: the process is about to end.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        """Makes the parts; must be called on the event loop."""
        self.settings = settings
        # What piles up while this process is busy must not make all its sockets count as slow when it goes on.
        write_limit = min(settings.server_write_limit, settings.server_slow_consumer_high_mark // 2)
        self.writer = Writer(write_limit, settings.server_backlog_limit)
        self.limiter = Limiter()
        self.tickets = TicketClient(settings)
        self.filter_client = FilterClient(settings, self.writer)
        self.subscriptions = Subscriptions(
            self.filter_client,
            self.writer,
            settings.filter_open_timeout_sec,
            settings.server_linger_sec,
            settings.server_position_interval_sec,
        )
        self.watch = LagWatch()
        self.marks = Marks(
            settings.server_slow_consumer_high_mark,
            settings.server_slow_consumer_low_mark,
            settings.server_slow_consumer_timeout_sec,
        )
        self.keep_alive = KeepAlive(settings.server_ping_interval_sec, settings.server_ping_timeout_sec)
        self.is_draining = False
        self._clients: dict[Client, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def clients(self) -> list[Client]:
        """The WebSockets that are open, or in their handshake."""
        return list(self._clients)

    @property
    def connection_count(self) -> int:
        """Their number."""
        return len(self._clients)

    @property
    def is_ready(self) -> bool:
        """Whether new clients can be served."""
        return not self.is_draining and self.tickets.is_ready and self.filter_client.is_ready

    def enter(self, client: Client) -> bool:
        """Takes a place for a client; false when all are taken."""
        if len(self._clients) >= self.settings.server_max_connections:
            return False
        self._clients[client] = None
        self._empty.clear()
        metrics.CONNECTIONS.set(len(self._clients))
        return True

    def leave(self, client: Client) -> None:
        """Gives a place back."""
        self._clients.pop(client, None)
        metrics.CONNECTIONS.set(len(self._clients))
        if not self._clients:
            self._empty.set()

    async def run(self) -> None:
        """Does what goes on behind the handlers until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = (
                    self.writer,
                    self.watch,
                    self.keep_alive,
                    self.tickets,
                    self.filter_client,
                    self.subscriptions,
                )
                for part in parts:
                    tasks.create_task(part.run(), name=type(part).__name__)
        finally:
            await self.tickets.close()

    async def drain(self, grace_sec: float) -> None:
        """Sends the clients away, spread out so that they do not all knock at other edges at once.

        Returns when all are gone, or after `grace_sec` seconds.
        """
        self.is_draining = True
        clients = list(self._clients)
        _log.info("draining", connections=len(clients))
        pause = min(_CLOSE_SPREAD_SEC, grace_sec * _CLOSE_SPREAD_SHARE / max(len(clients), 1))
        try:
            async with asyncio.timeout(grace_sec):
                for client in clients:
                    client.shut_down()
                    await asyncio.sleep(pause)
                await self._empty.wait()
        except TimeoutError:
            _log.warning("clients have not answered their close", connections=len(self._clients))
