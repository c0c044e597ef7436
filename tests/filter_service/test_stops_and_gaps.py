"""Subscriptions that end, go on behind gaps, and know their topic. Real service, real Kafka."""

import asyncio

from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, Client, at_position, at_time
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter

NOW = pb.Stop(latest=pb.Stop.Latest())


def until(next_offsets: dict[int, int]) -> pb.Stop:
    """A stop at a position."""
    return pb.Stop(position=pb.Position(next_offsets=next_offsets))


def numbered(first: int, count: int) -> list[bytes]:
    """Payloads of numbered records."""
    return [b'{"n":%d}' % number for number in range(first, first + count)]


async def test_until_now(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """What was there is delivered, what is written afterwards is not, and the call ends with OK."""
    topic = create_topic(partitions=2)
    records.write_all(topic, numbered(0, 500), partition=0)
    records.write_all(topic, numbered(0, 3), partition=1)
    call = client.call(pb.Subscription(topic=topic, start=EARLIEST, stop=NOW))
    opened = await call.begin()
    assert dict(opened.stop.next_offsets) == {0: 500, 1: 3}
    records.write_all(topic, numbered(500, 50), partition=0)
    await call.rest()
    assert call.values(0) == numbered(0, 500)
    assert call.values(1) == numbered(0, 3)
    assert call.positions == {0: 500, 1: 3}


async def test_until_a_position(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Partitions that the stop does not list are not read; the others end where it says, at any offset to come."""
    topic = create_topic(partitions=3)
    for partition in range(3):
        records.write_all(topic, numbered(0, 10), partition=partition)
    stop = until({0: 4, 1: 12})
    call = client.call(pb.Subscription(topic=topic, start=EARLIEST, stop=stop))
    await call.begin()
    await call.take_values(14)
    records.write_all(topic, numbered(10, 5), partition=1)
    await call.rest()
    assert call.values(0) == numbered(0, 4)
    assert call.values(1) == numbered(0, 12)
    assert call.values(2) == []


async def test_until_a_time(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Each partition ends before its first record of that time; one that has none, where it ends at the opening."""
    topic = create_topic(partitions=3, config={"retention.ms": "-1"})
    for number in range(5):
        records.write(topic, numbered(number, 1)[0], partition=0, timestamp_ms=1_000 + 1_000 * number)
    records.write_all(topic, numbered(0, 2), partition=1)
    records.write(topic, b'{"n":7}', partition=2, timestamp_ms=500)
    for time_ms, expected in ((3_500, [3, 0, 1]), (0, [0, 0, 0]), (2**62, [5, 2, 1])):
        call = client.call(pb.Subscription(topic=topic, start=EARLIEST, stop=pb.Stop(timestamp_ms=time_ms)))
        opened = await call.begin()
        assert dict(opened.stop.next_offsets) == dict(enumerate(expected))
        await call.rest()
        assert [len(call.values(partition)) for partition in range(3)] == expected
        assert call.positions == dict(enumerate(expected))


async def test_a_start_behind_the_stop(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Where it begins behind its end a subscription is complete at once; the other partitions are read all the same."""
    topic = create_topic(partitions=2, config={"retention.ms": "-1"})
    for number in range(6):
        records.write(topic, numbered(number, 1)[0], partition=number % 2, timestamp_ms=1_000 + 1_000 * number)
    for start, stop in (
        (at_time(5_000), pb.Stop(timestamp_ms=3_000)),
        (at_time(2**62), NOW),
        (at_position({0: 3, 1: 3}), until({0: 1, 1: 2})),
        (at_position({0: 100, 1: 100}), NOW),
    ):
        call = client.call(pb.Subscription(topic=topic, start=start, stop=stop))
        await call.begin()
        await call.rest()
        assert call.records == []
    call = client.call(pb.Subscription(topic=topic, start=at_position({0: 3, 1: 1}), stop=until({0: 1, 1: 3})))
    await call.begin()
    await call.rest()
    assert [(record.partition, record.offset) for record in call.records] == [(1, 1), (1, 2)]


async def test_a_start_before_everything(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A time before the first record that is left begins there, and is no gap."""
    topic = create_topic(config={"retention.ms": "-1"})
    for number in range(6):
        records.write(topic, numbered(number, 1)[0], timestamp_ms=1_000_000 + 1_000 * number)
    kafka.delete_records(topic, before=2)
    for time_ms in (0, 1, 1_000_000, 1_002_000):
        call = client.call(pb.Subscription(topic=topic, start=at_time(time_ms), stop=NOW))
        assert dict((await call.begin()).start.next_offsets) == {0: 2}
        await call.rest()
        assert call.values() == numbered(2, 4)
        assert call.gaps == []


async def test_nothing_before_the_stop(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A subscription that ends where it begins is opened and complete; so is one of a topic that does not exist."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 3))
    for name, start in ((topic, None), (topic, at_position({0: 3})), (f"{topic}.missing", EARLIEST)):
        call = client.call(pb.Subscription(topic=name, start=start, stop=NOW))
        await call.begin()
        await call.rest()
        assert call.records == []


async def test_ends_in_a_session(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Of two subscriptions over the same records only the one with a stop completes; its number is free again."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 20))
    async with client.session() as session:
        await session.open(1, topic, start=EARLIEST)
        await session.ask(2, pb.Subscription(topic=topic, start=EARLIEST, stop=until({0: 7})))
        await session.ask(3, pb.Subscription(topic=topic, start=EARLIEST, query=pb.Query(where="n=gte:99;"), stop=NOW))
        await session.until(lambda: session.complete == {2, 3})
        assert session.followers[2].values() == numbered(0, 7)
        records.write_all(topic, numbered(20, 5))
        assert await session.values(1, 25) == numbered(0, 25)
        assert len(session.followers[2].values()) == 7
        await session.open(2, topic)


async def test_a_gap_is_told(
    client: Client, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster
) -> None:
    """With `GAP_POLICY_CONTINUE` what is gone is told, and delivery goes on behind it."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 10))
    kafka.delete_records(topic, before=6)
    wanted = pb.Subscription(topic=topic, start=at_position({0: 2}), on_gap=pb.GAP_POLICY_CONTINUE)
    call = client.call(wanted)
    opened = await call.begin()
    assert dict(opened.start.next_offsets) == {0: 6}
    assert await call.take_values(4) == numbered(6, 4)
    assert call.gaps == [pb.Gap(partition=0, from_offset=2, to_offset=6)]
    async with client.session() as session:
        await session.ask(5, wanted)
        await session.until(lambda: 5 in session.opens)
        assert await session.values(5, 4) == numbered(6, 4)
        assert session.gaps == [pb.Gap(subscription_ids=[5], partition=0, from_offset=2, to_offset=6)]


async def test_a_stop_that_cannot_be(client: Client, create_topic: CreateTopic) -> None:
    """A stop that says nothing, or names a partition that does not exist, is refused and named."""
    topic = create_topic()
    for stop, problem in (
        (pb.Stop(), "stop: says nothing; leave it out for a subscription that does not end"),
        (until({4: 1}), f"stop: {topic} has no partition 4"),
        (until({0: -1}), "stop: offset -1 of partition 0 is negative"),
        (pb.Stop(timestamp_ms=-5), "stop: timestamp -5 is negative"),
    ):
        failure = await client.refused(pb.Subscription(topic=topic, stop=stop))
        assert failure.details == f"4000 {problem}"
        assert failure.rejection is not None
        assert failure.rejection.part == pb.REJECTED_PART_STOP


async def test_a_position_in_a_deleted_topic(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A position that bears the id of a topic that was deleted is gone, in the new topic of that name and in none."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 10))
    call = await client.subscribe(topic, EARLIEST)
    await call.take_values(10)
    position = pb.Position(next_offsets=call.positions, topic_id=call.topic_id)
    assert len(position.topic_id) == 16
    call.cancel()
    again = pb.Subscription(topic=topic, start=pb.Start(position=position))
    await (client.call(again)).begin()
    await asyncio.to_thread(kafka.delete_topic, topic)
    gone = f"4410 topic {topic} was deleted since; positions in it are gone"
    assert (await client.refused(again))[:2] == ("OUT_OF_RANGE", gone)
    await asyncio.to_thread(kafka.create_topic, topic, 1)
    records.write_all(topic, numbered(0, 20))
    assert (await client.refused(again))[:2] == ("OUT_OF_RANGE", gone)
