"""Requests in work: few at once, in order, and nobody waits for those who wait for something else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.limiter import Limiter
from tests.edge.conftest import MakeSystem, eventually
from tests.edge.raw import HANDSHAKE, get


class Work:
    """Requests that note when they are in work, and stay until they are told to end."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.ends: dict[int, asyncio.Event] = {}
        self.inside: list[int] = []

    async def request(self, number: int) -> None:
        end = self.ends[number] = asyncio.Event()
        async with self._limiter.place():
            self.inside.append(number)
            await end.wait()
            self.inside.remove(number)


@asynccontextmanager
async def working(limiter: Limiter, count: int) -> AsyncIterator[tuple[Work, list[asyncio.Task[None]]]]:
    """So many requests that have come one after the other."""
    work = Work(limiter)
    tasks = [asyncio.create_task(work.request(number)) for number in range(count)]
    await asyncio.sleep(0)
    try:
        yield work, tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_first_are_in_work_and_the_others_follow_in_order() -> None:
    """One that ends makes room for the one that has waited longest."""
    async with working(Limiter(places=2, hold_sec=60), 5) as (work, tasks):
        for ending, inside in ((None, [0, 1]), (1, [0, 2]), (0, [2, 3]), (3, [2, 4])):
            if ending is not None:
                work.ends[ending].set()
                await tasks[ending]
            await eventually(lambda: work.inside == inside, f"{inside} are in work")  # noqa: B023  (awaited here)


@pytest.mark.parametrize("how", ["cancelled inside", "cancelled outside", "failed"])
async def test_whoever_ends_otherwise_gives_the_place_back(how: str) -> None:
    """Also one that has never had it."""
    limiter = Limiter(places=1, hold_sec=60)
    if how == "failed":
        with pytest.raises(ValueError, match="oh"):
            async with limiter.place():
                raise ValueError("oh")
    else:
        async with working(limiter, 2) as (_, tasks):
            tasks[0 if how == "cancelled inside" else 1].cancel()
    async with asyncio.timeout(20), limiter.place():
        pass


async def test_one_that_takes_long_keeps_no_place_and_gives_it_back_once() -> None:
    """Others go on meanwhile; its end lets nobody in."""
    limiter = Limiter(places=1, hold_sec=0.02)
    async with working(limiter, 2) as (work, tasks):
        await eventually(lambda: work.inside == [0, 1], "the second is let in while the first is still in work")
        for number in (0, 1):
            work.ends[number].set()
            await tasks[number]
    limiter._hold_sec = 60
    async with working(limiter, 3) as (work, _):
        await eventually(lambda: work.inside, "one is in work")
        assert work.inside == [0]


async def test_a_client_that_has_left_while_it_waited_keeps_its_ticket(make_system: MakeSystem) -> None:
    """Nothing is done for it any more."""
    system = await make_system()
    system.edge.limiter = Limiter(places=1, hold_sec=60)
    ticket = system.ticket()
    async with system.edge.limiter.place():
        _, writer = await asyncio.open_connection("127.0.0.1", system.port)
        writer.write(get(f"/kafka-ws/v1/topics/admin.t?ticket={ticket}", HANDSHAKE).encode())
        await eventually(lambda: system.edge.connection_count == 1, "the client waits")
        writer.close()
        await eventually(lambda: system.edge.connection_count == 0, "the client has left")
    socket = await system.client.connect("admin.t", ticket=ticket)
    await socket.close()
