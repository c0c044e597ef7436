"""Topics that appear, grow and lose records while they are subscribed to. Real service, real Kafka."""

import asyncio

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic, MakeTopicName
from tests.filter_service.client import EARLIEST, LATEST, Client, Failure, at_position, at_time, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter


async def test_a_topic_that_appears_later(
    client: Client, kafka: KafkaCluster, topic: MakeTopicName, records: RecordWriter
) -> None:
    """It may be subscribed to before it exists, with any start, and is then read from offset 0 on."""
    name = topic()
    calls = []
    for start in (LATEST, EARLIEST, at_time(1), at_position({})):
        call = client.call(subscription(name, start))
        opened = await call.begin()
        assert opened.partition_count == 0
        assert not opened.start.next_offsets
        calls.append(call)
    kafka.create_topic(name, 2)
    for partition in range(2):
        records.write_all(name, numbered(100 * partition, 10), partition=partition)
    for call in calls:
        await call.take_values(20)
        assert call.values(0) == numbered(0, 10)
        assert call.values(1) == numbered(100, 10)


async def test_partitions_that_are_added(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A partition added later is read from offset 0 on by those whose selection covers it."""
    topic = create_topic(partitions=1)
    everything = await client.subscribe(topic)
    late = await client.subscribe(topic, partitions=[], and_from=2)
    second_only = await client.subscribe(topic, partitions=[1])
    assert (late.positions, second_only.positions) == ({}, {})
    kafka.add_partitions(topic, 3)
    for partition in range(3):
        records.write_all(topic, numbered(100 * partition, 5), partition=partition)
    await everything.take_values(15)
    await late.take_values(5)
    await second_only.take_values(5)
    for partition in range(3):
        assert everything.values(partition) == numbered(100 * partition, 5)
    assert late.values() == late.values(2) == numbered(200, 5)
    assert second_only.values() == numbered(100, 5)


@pytest.fixture
async def unaware(start_service: StartService, connect: Connect) -> Client:
    """A client of a replica that does not look for new partitions by itself."""
    return connect(await asyncio.to_thread(start_service, {"KAFKA_WS_FILTER_METADATA_INTERVAL_SEC": "3600"}))


async def test_a_position_in_a_partition_that_this_replica_has_not_seen_yet(
    kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter, unaware: Client
) -> None:
    """A client that was told of a new partition by another replica can go on here at once."""
    topic = create_topic(partitions=1)
    watching = await unaware.subscribe(topic)
    kafka.add_partitions(topic, 2)
    records.write_all(topic, numbered(0, 5), partition=1)
    call = await unaware.subscribe(topic, at_position({0: 0, 1: 2}))
    assert await call.take_values(3) == numbered(2, 3)
    assert await watching.take_values(5) == numbered(0, 5)


async def test_a_share_with_a_partition_that_this_replica_has_not_seen_yet(
    kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter, unaware: Client
) -> None:
    """What is asked for until now is all of it, also in a partition that an edge knows of from another replica."""
    topic = create_topic(partitions=1)
    await unaware.subscribe(topic)
    kafka.add_partitions(topic, 3)
    records.write_all(topic, numbered(0, 5), partition=1)
    share = pb.PartitionSelection(partitions=[1], and_from=3)
    now = pb.Stop(latest=pb.Stop.Latest())
    call = unaware.call(pb.Subscription(topic=topic, partitions=share, start=EARLIEST, stop=now))
    await call.begin()
    await call.rest()
    assert call.values() == call.values(1) == numbered(0, 5)


async def test_a_position_that_retention_has_removed(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """It is refused with 4410, the partition, and the first offset that is left; from there on all is well."""
    topic = create_topic(partitions=2)
    records.write_all(topic, numbered(0, 10), partition=1)
    kafka.delete_records(topic, before=4, partition=1)
    expected = pb.Rejection(
        code=pb.REJECTION_CODE_POSITION_GONE,
        reason="partition 1: offset 3 is gone, first offset is 4",
        part=pb.REJECTED_PART_START,
    )
    for position in ({0: 0, 1: 3}, {1: 3}):
        failure = await client.refused(subscription(topic, at_position(position)))
        assert failure == Failure("OUT_OF_RANGE", f"4410 {expected.reason}", expected)
    unlisted = await client.refused(subscription(topic, at_position({0: 0})))
    assert unlisted.rejection is not None
    assert unlisted.rejection.reason == "partition 1: offset 0 is gone, first offset is 4"
    covered = await client.subscribe(topic, at_position({0: 0, 1: 3}), partitions=[0])
    assert covered.positions == {0: 0}
    call = await client.subscribe(topic, at_position({0: 0, 1: 4}))
    assert await call.take_values(6) == numbered(4, 6)


async def test_records_removed_before_a_slow_client_has_read_them(
    kafka: KafkaCluster,
    create_topic: CreateTopic,
    records: RecordWriter,
    start_service: StartService,
    connect: Connect,
) -> None:
    """What was taken from it is told, as 4410 or a gap, after all that it could still get; others do not notice."""
    limits = {"KAFKA_WS_FILTER_OUTBOX_BYTES": "20000", "KAFKA_WS_FILTER_REPLAY_BYTES": "0"}
    service = await asyncio.to_thread(start_service, limits)
    topic = create_topic(partitions=2)
    slow = await connect(service).subscribe(topic)
    going_on = connect(service).call(pb.Subscription(topic=topic, on_gap=pb.GAP_POLICY_CONTINUE))
    await going_on.begin()
    quick = await connect(service).subscribe(topic, partitions=[1])
    values = [b'{"n":%d,"padding":"%s"}' % (number, b"x" * 5_000) for number in range(4_000)]
    await asyncio.to_thread(records.write_all, topic, values)
    await asyncio.to_thread(service.wait_metric, "kafka_ws_filter_detached_total", 2)
    kafka.delete_records(topic, before=4_000)
    failure = await slow.failed()
    got = slow.values()
    assert got == values[: len(got)]
    assert len(got) < len(values)
    assert failure.status == "OUT_OF_RANGE"
    assert failure.details == f"4410 partition 0: offset {len(got)} is gone, first offset is 4000"
    records.write_all(topic, numbered(0, 3), partition=1)
    assert await quick.take_values(3) == numbered(0, 3)
    records.write_all(topic, numbered(4_000, 3))
    await going_on.until(lambda: going_on.positions == {0: 4_003, 1: 3})
    (gap,) = going_on.gaps
    assert gap == pb.Gap(partition=0, from_offset=len(going_on.values(0)) - 3, to_offset=4_000)
    assert going_on.values(0) == values[: gap.from_offset] + numbered(4_000, 3)
    assert going_on.values(1) == numbered(0, 3)
