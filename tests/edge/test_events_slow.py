"""Clients of server-sent events that are slow, stalled, dead or gone."""

import asyncio
from typing import Any

from edge import metrics
from tests.edge.conftest import MakeSystem, System, eventually
from tests.edge.listening import CLOSED, ends, listen, numbered, numbers, write
from tests.edge.raw import get


async def pour(system: System, records: int = 6000, size: int = 2000) -> None:
    """Write more than a client takes that does not read."""
    for number in range(records):
        system.logs.write("admin.t", b'{"n":%d,"padding":"%b"}' % (number, b"x" * size))
        if number % 50 == 0:
            await asyncio.sleep(0)


SLOW: dict[str, Any] = {
    "server_slow_consumer_high_mark": 64 * 1024,
    "server_slow_consumer_low_mark": 16 * 1024,
    "server_write_limit": 32 * 1024,
}


async def test_a_slow_client_gets_everything_later(make_system: MakeSystem) -> None:
    """A client that stops reading loses nothing and gets nothing twice; the others do not wait for it."""
    system = await make_system(**SLOW)
    slow, quick = await listen(system), await listen(system)
    detaches = metrics.DETACHES._value.get()
    await pour(system)
    assert await numbers(quick, 6000) == list(range(6000))
    assert metrics.DETACHES._value.get() > detaches, "the client has never been slow"
    assert max(client.waiting_bytes for client in system.edge.clients) < 64 * 1024 + 32 * 1024 + 10 * 2300
    assert await numbers(slow, 6000) == list(range(6000))
    write(system, numbered(10, 6000))
    assert await numbers(slow, 10) == list(range(6000, 6010))
    await eventually(lambda: system.open_count == 1, "it shares a subscription again")
    slow.close()
    quick.close()


async def test_a_stalled_client_is_given_up(make_system: MakeSystem) -> None:
    """One that takes nothing for the configured time is told 4429 if it ever reads, dropped if not, and can resume."""
    system = await make_system(**SLOW, server_slow_consumer_timeout_sec=0.5)
    closes = metrics.CLOSES.labels(4429)._value
    before = closes.get()
    async with await listen(system) as stalled:
        await stalled.told()
        await pour(system)
        await eventually(lambda: system.edge.connection_count == system.open_count == 0, "the stalled client is gone")
        assert closes.get() == before + 1
        seen = [event for event in await stalled.until_over() if event.type == "message"]
    async with await listen(system, ticket="", last_id=stalled.last_id) as again:
        missing = 6000 - len(seen)
        assert [each.value["n"] for each in seen] + await numbers(again, missing) == list(range(6000))


async def test_a_slow_client_reads_the_end(make_system: MakeSystem) -> None:
    """The end waits behind what a slow client has not read, and nothing is sent behind the end, pings neither."""
    system = await make_system(server_ping_interval_sec=0.05)
    await pour(system, records=3000)
    async with await listen(system, from_="earliest", until="latest") as stream:
        await stream.event()
        await asyncio.sleep(0.5)
        events = await stream.rest()
    assert [event.value["n"] for event in events[:-1]] == list(range(1, 3000))
    assert ends(events) == [CLOSED]


async def test_quiet_streams_are_kept_alive(make_system: MakeSystem) -> None:
    """Comments keep proxies and browsers from giving up a stream on which nothing happens."""
    system = await make_system(server_ping_interval_sec=0.1, server_ping_timeout_sec=0.2)
    async with await listen(system) as stream:
        async with asyncio.timeout(20):
            while stream.raw.count(b"\n\n:\n\n:\n\n") == 0:
                await stream._read()
        write(system, numbered(1))
        assert await numbers(stream, 1) == [0]


async def test_a_dead_peer_is_dropped(make_system: MakeSystem) -> None:
    """A peer whose host takes nothing any more is dropped, though it is not slow enough to be given up for that."""
    system = await make_system(
        server_ping_interval_sec=0.2, server_ping_timeout_sec=0.2, server_slow_consumer_high_mark=64 * 1024 * 1024
    )
    async with await listen(system) as dead, await listen(system, where='"n":0,') as alive:
        await dead.told()
        await pour(system)
        await eventually(lambda: system.edge.connection_count == 1, "the dead peer is gone")
        assert await numbers(alive, 1) == [0]


async def test_the_kernels_buffer_is_bounded(make_system: MakeSystem) -> None:
    """`SO_SNDBUF` as configured holds for event streams as it does for WebSockets."""
    system = await make_system(server_send_buffer=8192)
    async with await listen(system) as stream:
        await stream.told()
        await pour(system, records=2000)
        await eventually(lambda: max(client.waiting_bytes for client in system.edge.clients) > 0, "the client is slow")
        (client,) = system.edge.clients
        # Linux doubles the size, and takes another packet (64 KiB at most) while the buffer is not full. Without the
        # bound it would hold 3.9 MB here.
        assert client._output.in_kernel < 2 * 8192 + 64 * 1024  # type: ignore[attr-defined]
        assert await numbers(stream, 2000) == list(range(2000))


async def test_a_client_that_leaves_leaks_nothing(make_system: MakeSystem) -> None:
    """Before its stream is open, right when it opens, and later: neither a subscription nor a place stays behind."""
    system = await make_system()
    system.replicas[0].answers.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
    target = system.client.target("admin.t", ticket=system.ticket())
    writer.write(get(target, {"Host": "edge", "Accept": "text/event-stream"}).encode())
    await eventually(lambda: system.replicas[0].opens, "the subscription is being opened")
    writer.close()
    system.replicas[0].answers.set()
    await eventually(lambda: system.open_count == 0 and system.edge.connection_count == 0, "nothing is held")
    assert await reader.read() == b""
    streams = [await listen(system) for _ in range(10)]
    write(system, numbered(1))
    for stream in streams:
        stream.close()
    await eventually(lambda: system.open_count == 0 and system.edge.connection_count == 0, "nothing is held again")
