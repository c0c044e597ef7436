"""Accepting: few connections in a turn of the event loop, and all of them in the end."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

from edge.limiter import Limiter
from edge.listener import AT_ONCE, Listener, listen
from tests.edge.conftest import eventually


@contextmanager
def listening(limiter: Limiter, count: int) -> Iterator[tuple[Listener, list[socket.socket]]]:
    """A listener, and so many clients that have connected."""
    (listener,) = listen("127.0.0.1", 0, limiter)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(count)]
    try:
        yield listener, clients
    finally:
        for each in (listener, *clients):
            each.close()


def accepted(listener: Listener) -> list[tuple[str, int]]:
    """Whom the listener accepts until it has enough."""
    clients = []
    with suppress(BlockingIOError):
        while True:
            connection, client = listener.accept()
            assert connection.getpeername() == client
            connection.close()
            clients.append(client)
    return clients


async def test_few_are_accepted_in_a_turn_and_all_in_the_end() -> None:
    """The others wait with the kernel."""
    with listening(Limiter(), 2 * AT_ONCE + 1) as (listener, clients):
        found: list[tuple[str, int]] = []
        for count in (AT_ONCE, AT_ONCE, 1, 0):
            some = accepted(listener)
            assert len(some) == count
            assert not accepted(listener)
            found += some
            await asyncio.sleep(0)
        assert sorted(found) == sorted(client.getsockname() for client in clients)


async def test_one_is_accepted_in_a_turn_while_as_many_wait_as_are_in_work() -> None:
    """As soon as fewer wait, there are more again."""
    limiter = Limiter(places=2, hold_sec=60)

    async def request() -> None:
        async with limiter.place():
            pass

    with listening(limiter, AT_ONCE + 2) as (listener, _):
        async with AsyncExitStack() as inside, asyncio.TaskGroup() as waiting:
            for _ in range(2):
                await inside.enter_async_context(limiter.place())
            for _ in range(2):
                assert not limiter.is_crowded
                waiting.create_task(request())
                await asyncio.sleep(0)
            assert limiter.is_crowded
            for _ in range(2):
                assert len(accepted(listener)) == 1
                await asyncio.sleep(0)
            await inside.aclose()
        await eventually(lambda: not limiter.is_crowded, "all are through")
        assert len(accepted(listener)) == AT_ONCE


async def test_a_turn_without_connections_takes_nothing_from_the_next() -> None:
    """A client that comes later is accepted then."""
    with listening(Limiter(), 0) as (listener, _):
        assert not accepted(listener)
        await asyncio.sleep(0)
        with socket.create_connection(listener.getsockname()) as client:
            assert accepted(listener) == [client.getsockname()]
