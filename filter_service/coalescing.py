"""One request in flight, callers that arrive meanwhile share the next.

Used on the event loop by `kafka_source` for every question that many subscribers ask at once: a reconnect storm of
thousands costs a handful of Kafka requests (design, "The filter service").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Coalescer(Generic[K, V]):
    """Merges concurrent questions about keys into few requests.

    Answers are never older than the question: a caller is only served by a request that was sent after it asked.

    Args:
        request: asks for the values of all given keys; its answer has every key.
    """

    def __init__(self, request: Callable[[list[K]], Awaitable[dict[K, V]]]) -> None:
        self._request = request
        self._next_keys: set[K] = set()
        self._next: asyncio.Future[dict[K, V]] | None = None
        self._running: asyncio.Task[None] | None = None

    async def ask(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of `keys`; raises what the request raised."""
        wanted = set(keys)
        if not wanted:
            return {}
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._next_keys |= wanted
        shared = self._next
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        answers = await asyncio.shield(shared)
        return {key: answers[key] for key in wanted}

    async def _run(self) -> None:
        try:
            while self._next is not None:
                # Let everybody who is already scheduled add their keys before the request goes out.
                await asyncio.sleep(0)
                future, keys = self._next, list(self._next_keys)
                self._next, self._next_keys = None, set()
                await self._answer(future, keys)
        finally:
            self._running = None

    async def _answer(self, future: asyncio.Future[dict[K, V]], keys: list[K]) -> None:
        try:
            answers = await self._request(keys)
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as error:  # handed to whoever asked
            future.set_exception(error)
            future.exception()  # all askers may be gone
        else:
            future.set_result(answers)
