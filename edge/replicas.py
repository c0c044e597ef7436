"""The filter replicas that there are now, and one session to each.

One `Replicas` per process, made by `filter_client`, on the event loop. Names are resolved again at an interval and
whenever a session is lost; sessions connect by themselves.
"""

import asyncio
from functools import partial

import grpc
import grpc.aio
import structlog

from edge import metrics
from edge.config import EdgeSettings
from edge.filter_session import FilterSession, SessionListener
from edge.placement import resolve
from runtime import tls
from runtime.grpc_server import CHANNEL_OPTIONS

_log = structlog.get_logger(__name__)

_PAUSE_SEC = 0.25
"""Least time between two look-ups: failures come in groups, and a resolver is not to be hammered."""


class Replicas:
    """Finds replicas and keeps a session to each.

    Args:
        settings: addresses and times.
        listener: is told what happens on the sessions.
    """

    def __init__(self, settings: EdgeSettings, listener: SessionListener) -> None:
        """Begins without replicas; `run` finds them."""
        self._settings = settings
        self._listener = listener
        self._credentials = tls.channel_credentials(settings)
        self._sessions: dict[str, FilterSession] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resolve_now = asyncio.Event()

    @property
    def sessions(self) -> list[FilterSession]:
        """All, connected or not."""
        return list(self._sessions.values())

    @property
    def ready(self) -> list[str]:
        """Addresses of those that can open subscriptions."""
        return [address for address, session in self._sessions.items() if session.is_ready]

    def session(self, address: str) -> FilterSession:
        """The session to a replica.

        Raises:
            KeyError: there is none.
        """
        return self._sessions[address]

    def changed(self, session: FilterSession) -> None:
        """A session has come or gone, or cannot do what it could."""
        self._count()
        if not session.is_connected:
            self._resolve_now.set()

    async def run(self) -> None:
        """Finds replicas until cancelled."""
        try:
            while True:
                self._resolve_now.clear()
                found = await resolve(self._settings.filter_address)
                if found:
                    self._list(found)
                else:
                    _log.warning(
                        "the filter service's address has no known host", address=self._settings.filter_address
                    )
                try:
                    async with asyncio.timeout(self._settings.filter_resolve_interval_sec):
                        await self._resolve_now.wait()
                    await asyncio.sleep(_PAUSE_SEC)
                except TimeoutError:
                    pass
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _list(self, found: dict[str, str]) -> None:
        for address, host in found.items():
            if address not in self._sessions:
                session = FilterSession(address, partial(self._connect, address, host), self._listener)
                self._sessions[address] = session
                self._tasks[address] = asyncio.create_task(session.run(), name=f"session {address}")
        for address in [each for each in self._sessions if each not in found]:
            # A replica that is not ready may be hidden from the resolver: as long as the stream stands, it is used.
            if not self._sessions[address].is_connected:
                del self._sessions[address]
                self._tasks.pop(address).cancel()
        self._count()

    def _connect(self, address: str, host: str) -> grpc.aio.Channel:
        options: list[tuple[str, str | int]] = [*CHANNEL_OPTIONS]
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=options)
        # The certificate is for the name, the connection goes to one of its addresses.
        options += [("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)]
        return grpc.aio.secure_channel(address, self._credentials, options=options)

    def _count(self) -> None:
        ready = len(self.ready)
        metrics.FILTER_REPLICAS.labels("ready").set(ready)
        metrics.FILTER_REPLICAS.labels("not_ready").set(len(self._sessions) - ready)
