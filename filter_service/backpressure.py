"""Holds up those who ask for more than somebody else can do: one per `Subscriptions`, on the event loop.

Opening a subscription costs the event loop about what it costs the live reader, and both take turns in running Python.
Whoever waits for the reader is served in the end what was written since its look-up. So without a limit, thousands who
come at once would cost the more the longer they wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_POLL_SEC = 0.005


class Backpressure:
    """Lets callers go on in the order in which they came, while little is to be done.

    Args:
        backlog: how much is to be done now; asked on the event loop.
        limit: of the backlog, from which on callers wait.
    """

    def __init__(self, backlog: Callable[[], int], limit: int) -> None:
        self._backlog = backlog
        self._limit = limit
        self._first = asyncio.Lock()

    async def room(self) -> None:
        """Waits until the backlog is below the limit; a caller adds to it before it waits for anything else."""
        # Only the first of all who wait looks again and again.
        async with self._first:
            while self._backlog() >= self._limit:  # noqa: ASYNC110 (it is another thread's)
                await asyncio.sleep(_POLL_SEC)
