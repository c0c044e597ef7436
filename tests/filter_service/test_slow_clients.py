"""Clients that do not keep up: bounded memory in the service, and every record in the end. Real service, real Kafka."""

import asyncio
from typing import Any

import pytest

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, Client, Subscribed
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import FilterService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.records import RecordWriter

OUTBOX_BYTES = 64 * 1024
TIGHT = {
    "KAFKA_WS_FILTER_OUTBOX_BYTES": str(OUTBOX_BYTES),
    "KAFKA_WS_FILTER_REPLAY_BYTES": str(256 * 1024),
    "KAFKA_WS_FILTER_BATCH_RECORDS": "100",
}
"""So little room that a few thousand records overflow it."""

DETACHED = "kafka_ws_filter_detached_total"
WAITING = "kafka_ws_filter_outbox_bytes"


def padded(first: int, count: int) -> list[bytes]:
    """Numbered payloads of a kilobyte."""
    return [b'{"n":%d,"padding":"%s"}' % (number, b"x" * 1_000) for number in range(first, first + count)]


@pytest.fixture
async def tight(start_service: StartService) -> FilterService:
    """A service with little room for what is not read."""
    return await asyncio.to_thread(start_service, TIGHT)


async def highest(service: FilterService, name: str, work: "asyncio.Future[Any]") -> float:
    """The highest value of a metric seen while something is going on."""
    top = 0.0
    while not work.done():
        top = max(top, await asyncio.to_thread(service.metric, name))
    return top


async def test_a_client_that_does_not_read(
    tight: FilterService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """What waits for it is bounded, however much is written; when it reads again it gets all of it once, in order."""
    topic = create_topic(partitions=2)
    slow = await connect(tight).subscribe(topic)
    quick = await connect(tight).subscribe(topic, where="n=gte:9990;")
    values = padded(0, 10_000)
    writing = asyncio.gather(*(asyncio.to_thread(records.write_all, topic, values, partition=p) for p in range(2)))
    waiting = await highest(tight, WAITING, writing)
    await quick.take_values(20)
    assert await asyncio.to_thread(tight.metric, DETACHED) > 0
    # Of a batch of 100 records the first may come when hardly anything waits; `quick` has an outbox as well.
    assert waiting <= 2 * (OUTBOX_BYTES + 100 * 1_100)
    await slow.take_values(20_000)
    for partition in range(2):
        assert slow.values(partition) == values
    records.write_all(topic, numbered(0, 1))
    assert (await slow.take_values(20_001))[-1] == numbered(0, 1)[0]


async def test_many_slow_clients_behind_one_another(
    tight: FilterService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """More laggards than readers of the past, at different places and at different speeds: all get everything."""
    topic = create_topic()
    values = padded(0, 4_000)
    await asyncio.to_thread(records.write_all, topic, values)
    calls = [await connect(tight).subscribe(topic, EARLIEST) for _ in range(6)]

    async def read_slowly(call: Subscribed, portion: int) -> None:
        while len(call.records) < len(values):
            await call.take_values(min(len(values), len(call.records) + portion))
            await asyncio.sleep(0.01)

    portions = (150, 300, 600, 1_200, 2_400, 4_000)
    await asyncio.gather(*(read_slowly(call, portion) for call, portion in zip(calls, portions, strict=True)))
    for call in calls:
        assert call.values() == values


async def test_a_session_that_does_not_read(
    tight: FilterService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """All its subscriptions wait in Kafka, fully filtered ones included, and each goes on where it was."""
    topic = create_topic()
    values = padded(0, 6_000)
    async with connect(tight).session() as session:
        await session.open(1, topic)
        await session.open(2, topic, where="n=gte:3000;", fields="n")
        await session.open(3, topic, where="n=gte:7000;")
        session.pause()
        await asyncio.to_thread(records.write_all, topic, values)
        await asyncio.to_thread(tight.wait_metric, DETACHED, 1)
        session.resume()
        assert await session.values(1, 6_000) == values
        assert await session.values(2, 3_000) == numbered(3_000, 3_000)
        await session.until(lambda: session.followers[3].positions == {0: 6_000})
        assert session.followers[3].records == []


async def test_a_slow_client_that_goes_away(
    tight: FilterService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Nothing of it stays: neither what waited to be sent nor its subscription."""
    topic = create_topic()
    client: Client = connect(tight)
    await client.subscribe(topic)
    await asyncio.to_thread(records.write_all, topic, padded(0, 3_000))
    await asyncio.to_thread(tight.wait_metric, DETACHED, 1)
    await client.close()
    for name in ("kafka_ws_filter_subscriptions", WAITING, "kafka_ws_filter_partitions"):
        await asyncio.to_thread(tight.wait_nothing, name)


async def test_large_headers_count(
    tight: FilterService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Keys and headers take room as values do."""
    topic = create_topic()
    slow = await connect(tight).subscribe(topic, with_metadata=True)
    headers = [("h", b"x" * 20_000)]

    def write() -> None:
        for number in range(400):
            records.write(topic, numbered(number, 1)[0], key=b"k" * 10_000, headers=headers)

    await asyncio.to_thread(write)
    waiting = await highest(tight, WAITING, asyncio.ensure_future(asyncio.to_thread(tight.wait_metric, DETACHED, 1)))
    assert waiting <= OUTBOX_BYTES + 100 * 31_000
    assert await slow.take_values(400) == numbered(0, 400)
    assert all(record.metadata and record.metadata.headers[0].value == headers[0][1] for record in slow.records)
