"""Transactional producers: only what is committed is seen, and "the end" is the last stable offset. Real Kafka."""

import asyncio
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, LATEST, Client, at_position, at_time
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter

NOW = pb.Stop(latest=pb.Stop.Latest())


class Transactions:
    """A transactional producer. Blocking.

    :param name: its `transactional.id`.
    """

    def __init__(self, bootstrap: str, name: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "log_level": 0})
        self._producer.init_transactions(60)

    def write(self, topic: str, values: list[bytes]) -> None:
        """Begin a transaction and write into it; the brokers have the records when it returns."""
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(topic, value, partition=0)
        assert self._producer.flush(60) == 0

    def commit(self) -> None:
        """End the transaction."""
        self._producer.commit_transaction(60)

    def abort(self) -> None:
        """Take it back."""
        self._producer.abort_transaction(60)


@pytest.fixture
def transactions(kafka: KafkaCluster) -> Callable[[str], Transactions]:
    """Makes producers, by name."""
    return lambda name: Transactions(kafka.bootstrap, name)


async def test_an_open_transaction(
    client: Client, create_topic: CreateTopic, records: RecordWriter, transactions: Callable[[str], Transactions]
) -> None:
    """Its records, and all behind them, are seen when it is committed, in order; `latest` and `until` end before."""
    topic = create_topic()
    writer = await asyncio.to_thread(transactions, topic)
    records.write_all(topic, numbered(0, 3))
    reading = await client.subscribe(topic, EARLIEST)
    await asyncio.to_thread(writer.write, topic, numbered(3, 4))
    records.write_all(topic, numbered(7, 2))
    latest = await client.subscribe(topic, LATEST)
    assert latest.positions == {0: 3}
    query = client.call(pb.Subscription(topic=topic, start=EARLIEST, stop=NOW))
    assert dict((await query.begin()).stop.next_offsets) == {0: 3}
    await query.rest()
    assert query.values() == numbered(0, 3)
    assert (await client.subscribe(topic, at_time(2**60))).positions == {0: 3}
    assert await reading.take_values(3) == numbered(0, 3)
    await asyncio.to_thread(writer.commit)
    assert await reading.take_values(9) == numbered(0, 9)
    assert await latest.take_values(6) == numbered(3, 6)
    # Behind the marker of the commit.
    await reading.until(lambda: reading.positions == {0: 10})


async def test_an_aborted_transaction(
    client: Client, create_topic: CreateTopic, records: RecordWriter, transactions: Callable[[str], Transactions]
) -> None:
    """Its records are never seen, wherever one begins or ends; positions move over them."""
    topic = create_topic()
    writer = await asyncio.to_thread(transactions, topic)
    records.write_all(topic, numbered(0, 2))
    await asyncio.to_thread(writer.write, topic, numbered(90, 4))
    live = await client.subscribe(topic)
    await asyncio.to_thread(writer.abort)
    await asyncio.to_thread(writer.write, topic, numbered(2, 2))
    await asyncio.to_thread(writer.commit)
    await asyncio.to_thread(writer.write, topic, numbered(95, 2))
    await asyncio.to_thread(writer.abort)
    assert await live.take_values(2) == numbered(2, 2)
    await live.until(lambda: live.positions == {0: 13})
    # 0 and 1 | 2 to 5 aborted, marker 6 | 7 and 8, marker 9 | 10 and 11 aborted, marker 12.
    for start, expected in (
        (EARLIEST, numbered(0, 4)),
        (at_position({0: 4}), numbered(2, 2)),
        (at_position({0: 9}), []),
    ):
        call = client.call(pb.Subscription(topic=topic, start=start, stop=NOW))
        assert dict((await call.begin()).stop.next_offsets) == {0: 13}
        await call.rest()
        assert call.values() == expected
        assert call.positions == {0: 13}
    inside = pb.Stop(position=pb.Position(next_offsets={0: 4}))
    call = client.call(pb.Subscription(topic=topic, start=EARLIEST, stop=inside))
    await call.begin()
    await call.rest()
    assert call.values() == numbered(0, 2)


async def test_uncommitted_records_if_the_operator_says_so(
    start_service: StartService,
    connect: Connect,
    create_topic: CreateTopic,
    records: RecordWriter,
    transactions: Callable[[str], Transactions],
) -> None:
    """With `read_uncommitted` open and aborted transactions are seen like anything else, and the end is the last."""
    service = await asyncio.to_thread(start_service, {"KAFKA_WS_CONSUMER_ISOLATION_LEVEL": "read_uncommitted"})
    client, topic = connect(service), create_topic()
    writer = await asyncio.to_thread(transactions, topic)
    await asyncio.to_thread(writer.write, topic, numbered(0, 3))
    assert (await client.subscribe(topic)).positions == {0: 3}
    call = await client.subscribe(topic, EARLIEST)
    assert await call.take_values(3) == numbered(0, 3)
    await asyncio.to_thread(writer.abort)
    records.write_all(topic, numbered(4, 1))
    assert await call.take_values(4) == numbered(0, 3) + numbered(4, 1)
