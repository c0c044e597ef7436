"""How much a socket is given at a time."""

import asyncio
from typing import Any

from edge.config import EdgeSettings
from edge.fan_out import FanOut
from edge.service import Edge
from tests.edge.conftest import eventually

_MARK = 100_000


class Taker:
    """A member that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def give(self, data: bytes) -> None:
        """Of the `Member` protocol."""
        self.given.append(len(data))

    def fail(self) -> None:
        """Of the `Member` protocol."""


async def test_what_piles_up_is_given_in_parts() -> None:
    """No write is larger than half of the high mark: a moment's pile does not make a socket slow that takes it all."""
    settings: dict[str, Any] = {
        "filter_address": ("127.0.0.1:1",),
        "ticket_address": "127.0.0.1:1",
        "server_slow_consumer_high_mark": _MARK,
        "server_slow_consumer_low_mark": _MARK // 10,
        "server_write_limit": 10 * _MARK,
    }
    edge = Edge(EdgeSettings(**settings))
    fan_out, taker = FanOut(edge.writer), Taker()
    fan_out.attach(taker)
    for offset in range(30):
        fan_out.append(b"x" * 10_000, 1, 0, offset + 1)
    writing = asyncio.create_task(edge.writer.run())
    await eventually(lambda: sum(taker.given) == 300_000, "all is given")
    writing.cancel()
    await edge.tickets.close()
    assert max(taker.given) <= _MARK // 2
