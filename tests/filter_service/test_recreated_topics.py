"""Topics that are deleted and created again while they are subscribed to. Real service, a real Kafka of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import MakeTopicName
from tests.filter_service.client import EARLIEST, Client, Subscribed, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import FilterService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter


class Place(NamedTuple):
    """A topic, a service, its Kafka, and who writes there."""

    topic: str
    kafka: KafkaCluster
    records: RecordWriter
    service: FilterService
    client: Client

    async def write(self, first: int, count: int) -> None:
        """Numbered records."""
        await asyncio.to_thread(self.records.write_all, self.topic, numbered(first, count))

    async def create(self) -> None:
        """The topic."""
        await asyncio.to_thread(self.kafka.create_topic, self.topic)

    async def delete(self) -> None:
        """The topic."""
        await asyncio.to_thread(self.kafka.delete_topic, self.topic)

    async def elect(self) -> None:
        """Have the broker come back, so that its partitions have had more leaders than those of a new topic."""
        await asyncio.to_thread(self.kafka.terminate, 1)
        # Otherwise the service might notice only after the broker is back, and refuse what comes next.
        await asyncio.to_thread(self.service.wait_serving, False)
        await asyncio.to_thread(self.kafka.restart, 1)
        await asyncio.to_thread(self.service.wait_serving, True)


@pytest.fixture(scope="module")
def own_kafka(kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker that may be restarted."""
    with KafkaCluster(tmp_path_factory.mktemp("own-kafka")) as cluster:
        yield cluster


MakePlace = Callable[[dict[str, str]], Awaitable[Place]]


@pytest.fixture
async def make_place(
    own_kafka: KafkaCluster, start_service: StartService, connect: Connect, topic: MakeTopicName
) -> MakePlace:
    """Makes a topic, and a service that does not look at it again by itself for as long as a test takes."""

    async def make(settings: dict[str, str]) -> Place:
        never_again = {"KAFKA_WS_FILTER_METADATA_INTERVAL_SEC": "3600", **settings}
        service = await asyncio.to_thread(start_service, never_again, own_kafka.bootstrap)
        made = Place(topic(), own_kafka, RecordWriter(own_kafka.bootstrap), service, connect(service))
        await made.create()
        return made

    return make


@pytest.fixture
async def place(make_place: MakePlace) -> Place:
    """One whose readers may be the first to meet the new topic."""
    return await make_place({})


@pytest.fixture
async def unread(make_place: MakePlace) -> Place:
    """One whose readers do not get to the new topic before somebody has subscribed to it.

    Otherwise who stands beyond its end is told either that the topic was deleted or that the offset is gone: it depends
    on who asks Kafka first, the subscription or the reader.
    """
    # A consumer is refused what has been deleted, and then asks for it again only after this time.
    return await make_place({"KAFKA_WS_CONSUMER_FETCH_ERROR_BACKOFF_MS": "300000"})


async def ended(place: Place, call: Subscribed) -> None:
    """It was told that its topic is gone."""
    failure = await call.failed()
    assert failure[:2] == ("OUT_OF_RANGE", f"4410 topic {place.topic} was deleted since; positions in it are gone")


async def test_nobody_is_served_the_old_topic(unread: Place) -> None:
    """Who subscribes to the new topic gets its records and none of the old one's, of which some are still at hand."""
    old = await unread.client.subscribe(unread.topic)
    await unread.write(0, 10)
    await old.take_values(10)
    await unread.delete()
    await unread.create()
    await unread.write(100, 5)
    new = await unread.client.subscribe(unread.topic, EARLIEST)
    assert new.topic_id != old.topic_id
    assert await new.take_values(5) == numbered(100, 5)
    await ended(unread, old)
    assert old.values() == numbered(0, 10)
    late = await unread.client.subscribe(unread.topic)
    await unread.write(105, 5)
    assert await new.take_values(10) == numbered(100, 10)
    assert await late.take_values(5) == numbered(105, 5)


async def test_partitions_that_have_had_more_leaders(place: Place) -> None:
    """A new topic is served though its partitions have had fewer leaders than the old one's; others do not notice."""
    other = await asyncio.to_thread(place.kafka.create_topic, f"{place.topic}-other")
    bystander = await place.client.subscribe(other)
    old = await place.client.subscribe(place.topic)
    await place.elect()
    await place.write(0, 3)
    await old.take_values(3)
    await asyncio.to_thread(place.records.write_all, other, numbered(0, 3))
    await bystander.take_values(3)
    await place.delete()
    await place.create()
    live = await place.client.subscribe(place.topic)
    await place.write(100, 10)
    assert await live.take_values(10) == numbered(100, 10)
    past = await place.client.subscribe(place.topic, EARLIEST)
    assert await past.take_values(10) == numbered(100, 10)
    await place.write(110, 10)
    assert await past.take_values(20) == await live.take_values(20) == numbered(100, 20)
    await ended(place, old)
    await asyncio.to_thread(place.records.write_all, other, numbered(3, 3))
    assert await bystander.take_values(6) == numbered(0, 6)


async def test_while_nobody_is_looking(place: Place) -> None:
    """A topic that was created again while nobody was subscribed is served, whether it is there already or comes."""
    old = await place.client.subscribe(place.topic)
    await place.elect()
    await place.write(0, 3)
    await old.take_values(3)
    old.cancel()
    await asyncio.to_thread(place.service.wait_nothing, "kafka_ws_filter_partitions")
    await place.delete()
    waiting = await place.client.subscribe(place.topic)
    assert waiting.positions == {}
    await place.create()
    await place.write(100, 10)
    assert await waiting.take_values(10) == numbered(100, 10)


async def test_in_between(unread: Place) -> None:
    """Who subscribes while the topic is deleted waits for the next one; who had the old one is told then."""
    old = await unread.client.subscribe(unread.topic)
    await unread.write(0, 3)
    await old.take_values(3)
    await unread.delete()
    waiting = await unread.client.subscribe(unread.topic)
    assert waiting.positions == {}
    assert waiting.topic_id == b""
    await unread.create()
    await unread.write(100, 10)
    assert await waiting.take_values(10) == numbered(100, 10)
    await ended(unread, old)


async def test_fewer_records_than_before(place: Place) -> None:
    """A subscription that stands beyond the end of the new topic ends, however little is written there."""
    old = await place.client.subscribe(place.topic)
    await place.write(0, 10)
    await old.take_values(10)
    await place.delete()
    await place.create()
    await place.write(100, 3)
    failure = await old.failed()
    assert failure.rejection is not None
    assert failure.rejection.code == pb.REJECTION_CODE_POSITION_GONE
    assert old.values() == numbered(0, 10)
    position = pb.Position(next_offsets=old.positions, topic_id=old.topic_id)
    again = await place.client.refused(pb.Subscription(topic=place.topic, start=pb.Start(position=position)))
    assert again.details == f"4410 topic {place.topic} was deleted since; positions in it are gone"


async def test_one_that_does_not_read(place: Place) -> None:
    """A slow client of the old topic gets nothing of the new one when it reads again."""
    values = [b'{"n":%d,"padding":"%s"}' % (number, b"x" * 100_000) for number in range(1_500)]
    slow = await place.client.subscribe(place.topic)
    await asyncio.to_thread(place.records.write_all, place.topic, values)
    await asyncio.to_thread(place.service.wait_metric, "kafka_ws_filter_detached_total", 1)
    await place.delete()
    await place.create()
    await asyncio.to_thread(place.records.write_all, place.topic, [b'{"new":%d}' % number for number in range(3_000)])
    assert (await place.client.refused(subscription(f"{place.topic}/", EARLIEST))).status == "INVALID_ARGUMENT"
    new = await place.client.subscribe(place.topic, EARLIEST)
    await ended(place, slow)
    assert slow.values() == values[: len(slow.records)]
    assert len(slow.records) < len(values)
    assert len(await new.take_values(3_000)) == 3_000
