"""Subscriptions that are behind: how often Kafka is read for them, and what may wait. Real service, real Kafka."""

import asyncio

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, at_position, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.records import RecordWriter

READ = "kafka_ws_filter_records_read_total"
FEW_READERS = {"KAFKA_WS_FILTER_CATCH_UP_READERS": "2"}


async def test_laggards_share_a_pass(
    start_service: StartService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """However many begin in the past, Kafka is read a few times: by the readers that there are, and for whoever came
    too late for these once more. Nobody gets more or less for it."""
    service = await asyncio.to_thread(start_service, FEW_READERS)
    topic, total, laggards = create_topic(), 20_000, 60
    await asyncio.to_thread(records.write_all, topic, numbered(0, total))
    before = await asyncio.to_thread(service.metric, READ, 'reader="catch-up')
    async with connect(service).session() as session:
        numbers = range(1, laggards + 1)
        # Each has a filter of its own, and begins at a place of its own.
        starts = {number: 100 * number if number % 2 else 0 for number in numbers}
        for number in numbers:
            await session.ask(number, subscription(topic, at_position({0: starts[number]}), where=f"n=gte:{number};"))
        await session.until(lambda: len(session.opens) == laggards)
        for number in numbers:
            first = max(number, starts[number])
            assert await session.values(number, total - first) == numbered(first, total - first)
        await session.until(lambda: all(session.followers[number].positions == {0: total} for number in numbers))
    read = await asyncio.to_thread(service.metric, READ, 'reader="catch-up') - before
    assert read <= total * 10, "each laggard has had a pass of its own" if read >= total * laggards / 2 else read


async def test_readers_of_the_past_stop(
    start_service: StartService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """When all are level with what is written now, only the live reader reads, once for all."""
    service = await asyncio.to_thread(start_service, FEW_READERS)
    topic = create_topic(partitions=3)
    for partition in range(3):
        await asyncio.to_thread(records.write_all, topic, numbered(0, 1_000), partition=partition)
    async with connect(service).session() as session:
        for number in range(1, 21):
            await session.open(number, topic, start=EARLIEST)
        for number in range(1, 21):
            await session.values(number, 3_000)
        while await asyncio.to_thread(service.metric, "kafka_ws_filter_partitions", 'reader="catch-up'):
            pass
        assert await asyncio.to_thread(service.metric, "kafka_ws_filter_partitions", 'reader="live"') == 3
        live = await asyncio.to_thread(service.metric, READ, 'reader="live"')
        past = await asyncio.to_thread(service.metric, READ, 'reader="catch-up')
        await asyncio.to_thread(records.write_all, topic, numbered(1_000, 500))
        for number in range(1, 21):
            await session.values(number, 3_500)
        assert await asyncio.to_thread(service.metric, READ, 'reader="catch-up') == past
        # Ends of partitions are counted too.
        assert await asyncio.to_thread(service.metric, READ, 'reader="live"') - live < 2 * 500
