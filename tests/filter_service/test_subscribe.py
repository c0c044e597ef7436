"""`Subscribe`: where a subscription begins, which partitions it covers, what it delivers. Real service, real Kafka."""

import asyncio
import json
import time

from confluent_kafka import Producer
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, LATEST, Client, at_position, at_time
from tests.filter_service.service import FilterService
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter


def numbered(first: int, count: int) -> list[bytes]:
    """Payloads of numbered records."""
    return [b'{"n":%d}' % number for number in range(first, first + count)]


async def test_from_latest(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """What is written after `opened` is delivered, what was written before is not, and `latest` is the default."""
    topic = create_topic(partitions=2)
    records.write_all(topic, numbered(0, 3), partition=1)
    for start in (LATEST, None):
        first = records.write(topic, b'{"old":0}', partition=0).offset + 1
        call = client.call(pb.Subscription(topic=topic, start=start))
        opened = await call.begin()
        assert dict(opened.start.next_offsets) == {0: first, 1: 3}
        assert opened.partition_count == 2
        records.write(topic, b'{"new":0}', partition=0)
        assert await call.take_values(1) == [b'{"new":0}']
        assert call.records[0].offset == first


async def test_from_earliest(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """`earliest` delivers what Kafka still has, and goes on with what is written then."""
    topic = create_topic(partitions=2)
    records.write_all(topic, numbered(0, 50), partition=0)
    records.write_all(topic, numbered(100, 3), partition=1)
    kafka.delete_records(topic, before=20, partition=0)
    call = await client.subscribe(topic, EARLIEST)
    assert call.positions == {0: 20, 1: 0}
    await call.take_values(33)
    records.write_all(topic, numbered(50, 2), partition=0)
    await call.take_values(35)
    assert call.values(0) == numbered(20, 32)
    assert call.values(1) == numbered(100, 3)


async def test_from_a_timestamp(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A time begins each partition at its first record of that time or later; at the end where there is none."""
    topic = create_topic(partitions=3)
    now = int(time.time() * 1000)
    for number in range(5):
        records.write(topic, numbered(number, 1)[0], partition=0, timestamp_ms=now + 1000 * number)
    records.write(topic, b'{"old":1}', partition=1, timestamp_ms=now - 5000)
    call = await client.subscribe(topic, at_time(now + 1001))
    assert call.positions == {0: 2, 1: 1, 2: 0}
    records.write(topic, b'{"late":1}', partition=1, timestamp_ms=now - 4000)
    await call.take_values(4)
    assert call.values(0) == numbered(2, 3)
    assert call.values(1) == [b'{"late":1}']
    assert [record.timestamp_ms for record in call.records if record.partition == 0] == [
        now + 1000 * number for number in range(2, 5)
    ]


async def test_from_a_timestamp_beyond_all(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A time in the future, however far, begins at the end."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 3))
    for far in (int(time.time() * 1000) + 3_600_000, 2**63 - 1):
        call = await client.subscribe(topic, at_time(far))
        assert call.positions == {0: 3}
    records.write(topic, b'{"n":3}')
    assert await call.take_values(1) == [b'{"n":3}']


async def test_from_a_position(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A position continues exactly there; a partition that it does not list begins at offset 0."""
    topic = create_topic(partitions=3)
    for partition in range(3):
        records.write_all(topic, numbered(100 * partition, 10), partition=partition)
    call = await client.subscribe(topic, at_position({0: 7, 1: 10}))
    assert call.positions == {0: 7, 1: 10, 2: 0}
    records.write_all(topic, numbered(110, 2), partition=1)
    await call.take_values(15)
    assert call.values(0) == numbered(7, 3)
    assert call.values(1) == numbered(110, 2)
    assert call.values(2) == numbered(200, 10)


async def test_resumed_from_where_it_was(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A client that goes away and returns with its position gets every record once, wherever it was cut off."""
    topic = create_topic(partitions=2)
    expected = {0: numbered(0, 400), 1: numbered(1000, 400)}
    for partition, values in expected.items():
        records.write_all(topic, values, partition=partition)
    got: dict[int, list[bytes]] = {0: [], 1: []}
    position = {0: 0, 1: 0}
    while sum(map(len, got.values())) < 800:
        call = await client.subscribe(topic, at_position(position))
        await call.until(lambda call=call: call.records)  # type: ignore[misc]
        call.cancel()
        position = call.positions
        for partition, values in got.items():
            values += call.values(partition)
    assert got == expected
    assert position == {0: 400, 1: 400}


async def test_a_position_beyond_the_end_waits(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Records before the position are left out even when they are written later."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 3))
    call = await client.subscribe(topic, at_position({0: 10}))
    others = await client.subscribe(topic)
    assert call.positions == {0: 10}
    records.write_all(topic, numbered(3, 10))
    assert await call.take_values(3) == numbered(10, 3)
    assert await others.take_values(10) == numbered(3, 10)


async def test_some_partitions(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Only what is selected is delivered: named partitions, and those from a number on."""
    topic = create_topic(partitions=4)
    for partition in range(4):
        records.write_all(topic, numbered(10 * partition, 2), partition=partition)
    for selection, covered in (
        ({"partitions": [1, 3]}, [1, 3]),
        ({"and_from": 2}, [2, 3]),
        ({"partitions": [0], "and_from": 3}, [0, 3]),
        ({"partitions": [2, 9]}, [2]),
    ):
        call = await client.subscribe(topic, EARLIEST, **selection)
        assert call.positions == dict.fromkeys(covered, 0)
        await call.take_values(2 * len(covered))
        assert {partition: call.values(partition) for partition in covered} == {
            partition: numbered(10 * partition, 2) for partition in covered
        }
        resumed = await client.subscribe(topic, at_position({0: 1, 1: 1, 2: 1, 3: 1}), **selection)
        assert resumed.positions == dict.fromkeys(covered, 1)


async def test_metadata(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Key and headers come as they were written, when asked for; a timestamp always."""
    topic = create_topic()
    now = int(time.time() * 1000)
    headers = [("h", b"1"), ("h", b"2"), ("empty", b""), ("null", None), ("é", b"\xff\x00")]
    records.write(topic, b'{"n":0}', key=b"\x00key\xff", headers=headers, timestamp_ms=now)
    records.write(topic, b'{"n":1}', key=b"", timestamp_ms=now + 1)
    records.write(topic, b'{"n":2}', timestamp_ms=now + 2)
    call = await client.subscribe(topic, EARLIEST, with_metadata=True)
    await call.take_values(3)
    told = [record.metadata for record in call.records]
    assert told[0] is not None
    assert told[1] is not None
    assert told[2] is not None
    assert told[0].key == b"\x00key\xff"
    assert [(header.key, header.value if header.HasField("value") else None) for header in told[0].headers] == headers
    assert told[1].HasField("key")
    assert told[1].key == b""
    assert not told[2].HasField("key")
    assert not told[2].headers
    plain = await client.subscribe(topic, EARLIEST)
    await plain.take_values(3)
    for subscribed in (call, plain):
        assert [record.timestamp_ms for record in subscribed.records] == [now, now + 1, now + 2]
    assert [record.metadata for record in plain.records] == [None] * 3


async def test_where_and_fields(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`where` picks, `fields` cuts, the canonical query is told, and what is no JSON is left out."""
    topic = create_topic()
    call = client.call(pb.Subscription(topic=topic, query=pb.Query(where="t=gte:3;", fields="b,a")))
    opened = await call.begin()
    checked = await client.validate("t=gte:3;", "b,a")
    assert opened.canonical == checked.canonical
    records.write_all(
        topic, [b'{"t":2,"a":0}', b"no JSON", None, b"7", b'{"t":3}', b'{"t":4,"a":[1],"c":0}', b'{"b":5,"t":"9"}']
    )
    values = await call.take_values(2)
    assert [json.loads(value) for value in values] == [{"a": [1]}, {"b": 5}]
    assert [record.offset for record in call.records] == [5, 6]


async def test_the_same_offset_in_two_partitions(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A record of which nothing is selected does not take another with it that has its offset in another partition."""
    topic = create_topic(partitions=2)
    call = await client.subscribe(topic, fields="a")
    for number in range(3):
        records.write(topic, b'{"b":1}', partition=0)
        await call.until(lambda read=number + 1: call.positions[0] == read)  # type: ignore[misc]
        records.write(topic, b'{"a":%d}' % number, partition=1)
        await call.take_values(number + 1)


async def test_progress_of_quiet_and_filtered_partitions(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Where nothing is delivered the position still moves, so that a client can resume without reading all again."""
    topic = create_topic(partitions=2)
    records.write_all(topic, numbered(0, 300), partition=0)
    earliest = await client.subscribe(topic, EARLIEST, where="n=lt:0;")
    live = await client.subscribe(topic, where="n=lt:0;")
    await earliest.until(lambda: earliest.positions == {0: 300, 1: 0})
    records.write_all(topic, numbered(0, 10), partition=1)
    for call in (earliest, live):
        await call.until(lambda call=call: call.positions == {0: 300, 1: 10})  # type: ignore[misc]
        assert call.records == []


async def test_records_of_a_transaction(kafka: KafkaCluster, client: Client, create_topic: CreateTopic) -> None:
    """What a transaction wrote is delivered when it is committed, and never when it was aborted."""
    topic = create_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    call = await client.subscribe(topic, EARLIEST)
    for number, finish in enumerate([producer.commit_transaction, producer.abort_transaction] * 2):
        producer.begin_transaction()
        for value in numbered(10 * number, 3):
            producer.produce(topic, value)
        producer.flush(30)
        await asyncio.to_thread(finish, 30)
    await call.until(lambda: call.positions[0] >= 16)
    assert call.values() == numbered(0, 3) + numbered(20, 3)
    late = await client.subscribe(topic, EARLIEST)
    await late.until(lambda: late.positions[0] >= 16)
    assert late.values() == call.values()


async def test_many_large_records(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Records that together are larger than one gRPC message may be still come, in several."""
    topic = create_topic()
    padding = "x" * 4_000_000
    values = [json.dumps({"n": number, "padding": padding}).encode() for number in range(20)]
    records.write_all(topic, values)
    call = await client.subscribe(topic, EARLIEST)
    await call.take_values(20)
    assert call.values() == values


async def test_a_client_that_goes_away(service: FilterService, client: Client, create_topic: CreateTopic) -> None:
    """Its subscription ends with it."""
    before = service.metric("kafka_ws_filter_subscriptions")
    call = await client.subscribe(create_topic())
    assert service.metric("kafka_ws_filter_subscriptions") == before + 1
    call.cancel()
    while service.metric("kafka_ws_filter_subscriptions") > before:  # noqa: ASYNC110  (nobody signals it)
        await asyncio.sleep(0.02)
