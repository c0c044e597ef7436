"""Sends what is in a stream's outbox, in order, and frees the room it took. One per gRPC call, on the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from filter_service.outbox import Batch, Item
from filter_service.pieces import pieces
from filter_service.subscriptions import Stream, Subscriptions

ResponseT = TypeVar("ResponseT")


class StreamWriter(Generic[ResponseT]):
    """The writing half of one call.

    Args:
        subscriptions: of the process.
        write: sends one message; waits while the peer does not read (HTTP/2 flow control).
        convert: makes messages of an outbox item, each when the one before has been written.

    Attributes:
        join: makes one message of two that wait, if that can be.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        write: Callable[[ResponseT], Awaitable[None]],
        convert: Callable[[Item], Iterable[ResponseT]],
    ) -> None:
        self._subscriptions = subscriptions
        self._write = write
        self._convert = convert
        self.join: Callable[[ResponseT, ResponseT], ResponseT | None] = lambda _before, _message: None
        self._control: deque[ResponseT] = deque()
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._signalled = False
        self._loop = asyncio.get_running_loop()
        self.stream: Stream = subscriptions.stream(self._wake)

    async def below(self, backlog: int) -> None:
        """Waits until fewer than `backlog` messages put by `send` are unwritten."""
        while len(self._control) >= backlog:
            self._drained.clear()
            await self._drained.wait()

    @property
    def has_queued(self) -> bool:
        """Whether something put by `send` is unwritten."""
        return bool(self._control)

    def send(self, message: ResponseT) -> None:
        """Queues a message of the protocol itself; it goes before anything that enters the outbox later."""
        joined = self.join(self._control[-1], message) if self._control else None
        if joined is None:
            self._control.append(message)
        else:
            self._control[-1] = joined
        self._ready.set()

    async def flush(self) -> None:
        """Writes what `send` has queued."""
        while self._control:
            await self._write(self._control.popleft())
        self._drained.set()

    async def run(self) -> None:
        """Writes until cancelled or the peer is gone."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            self._signalled = False
            # The outbox is looked at first: what it holds was put there before later control messages, and a
            # subscription's `opened` is queued before its first record can be in the outbox.
            items = self.stream.outbox.take()
            await self.flush()
            for item in items:
                for part in pieces(item) if isinstance(item, Batch) else (item,):
                    for message in self._convert(part):
                        await self._write(message)
                self.stream.outbox.sent(item)
            self._subscriptions.resume_parked(self.stream)

    def _wake(self) -> None:
        if not self._signalled:
            self._signalled = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:
                return  # the loop has ended with the process
