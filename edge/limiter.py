"""How many requests are worked on at once, so that clients who come do not hold up the records of those who are there.

Each request takes a millisecond and more of the event loop, in several turns, and what the ticket service and the
filter service answer comes for many at once: with hundreds in work, a turn takes as long as a part of all of them. With
few, just as many get through. The others wait in the order in which they came.

Used by the handlers and by `listener`, on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge import metrics

_PLACES = 48
"""Enough to keep the event loop busy while answers of other services are under way."""

_HOLD_SEC = 0.25
"""A request that takes longer waits for something, such as Kafka, and keeps no place meanwhile."""


class Limiter:
    """Places for requests in work.

    Args:
        places: how many there are.
        hold_sec: how long a request keeps its place at most, in seconds.
    """

    def __init__(self, places: int = _PLACES, hold_sec: float = _HOLD_SEC) -> None:
        self._count = places
        self._places = asyncio.Semaphore(places)
        self._hold_sec = hold_sec
        self._waiting = 0

    @property
    def is_crowded(self) -> bool:
        """Whether as many requests wait as there are places."""
        return self._waiting >= self._count

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place, and keeps it to the end of the block or for `hold_sec`, whichever comes first."""
        self._count_waiting(1)
        try:
            await self._places.acquire()
        finally:
            self._count_waiting(-1)
        is_held = True

        def leave() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._hold_sec, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        metrics.WAITING_REQUESTS.set(self._waiting)
