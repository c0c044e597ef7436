"""Offsets with holes: what compaction leaves behind is served as if nothing had ever been there. Real Kafka."""

import asyncio
from typing import NamedTuple

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import EARLIEST, Client, at_position
from tests.filter_service.conftest import Connect, StartService
from tests.kafka.cluster import KafkaCluster
from tests.kafka.compaction import COMPACTED, compact, write_rounds
from tests.kafka.records import RecordWriter

KEYS, ROUNDS = 4, 25
"""What is left begins at offset 96: all before is a hole."""


class Holes(NamedTuple):
    """A compacted topic, and the offsets that are left; the number of a record is its offset."""

    topic: str
    left: list[int]

    @property
    def end(self) -> int:
        """Of the partition."""
        return self.left[-1] + 1

    def since(self, offset: int) -> list[bytes]:
        """The records from an offset on."""
        return [b'{"n":%d}' % number for number in self.left if number >= offset]


@pytest.fixture(scope="module")
def holes(kafka: KafkaCluster, create_topic: CreateTopic) -> Holes:
    """Not written to by the tests."""
    records, topic = RecordWriter(kafka.bootstrap), create_topic(config=COMPACTED)
    return Holes(topic, compact(kafka, records, topic, write_rounds(records, topic, KEYS, ROUNDS)))


async def test_what_is_left(client: Client, holes: Holes) -> None:
    """`earliest` delivers the records that are left, and the position moves over the holes."""
    assert holes.left[0] == KEYS * (ROUNDS - 1)
    call = await client.subscribe(holes.topic, EARLIEST)
    assert await call.take_values(len(holes.left)) == holes.since(0)
    assert [record.offset for record in call.records] == holes.left
    assert call.positions == {0: holes.end}


async def test_a_position_in_a_hole(client: Client, holes: Holes) -> None:
    """It is none of the records that are gone for retention: delivery begins with the first that is there."""
    for offset in (0, 1, KEYS, holes.left[0] - 1, holes.left[0], holes.left[1]):
        call = await client.subscribe(holes.topic, at_position({0: offset}))
        assert call.positions == {0: offset}
        assert await call.take_values(len(holes.since(offset))) == holes.since(offset)
        call.cancel()


async def test_progress_over_holes(client: Client, holes: Holes) -> None:
    """Where nothing matches the position moves over records and holes alike, up to the end."""
    for start in (EARLIEST, at_position({0: 3})):
        call = await client.subscribe(holes.topic, start, where="n=lt:0;")
        await call.until(lambda call=call: call.positions == {0: holes.end})  # type: ignore[misc]
        assert call.records == []


async def test_a_stop_in_a_hole(client: Client, holes: Holes) -> None:
    """What ends in a hole is complete when the first record behind it has been seen, whether it matches or not."""
    inside = holes.left[0] - 2
    for where in ("", "n=lt:0;"):
        stop = pb.Stop(position=pb.Position(next_offsets={0: inside}))
        wanted = pb.Subscription(topic=holes.topic, start=at_position({0: 2}), stop=stop, query=pb.Query(where=where))
        call = client.call(wanted)
        await call.begin()
        await call.rest()
        assert call.records == []
        assert call.positions == {0: inside}


async def test_many_who_join_in_holes(
    holes: Holes, start_service: StartService, connect: Connect, records: RecordWriter
) -> None:
    """Laggards that begin in holes and at records share readers, and each gets what is its own once."""
    tight = {"KAFKA_WS_FILTER_REPLAY_BYTES": "0", "KAFKA_WS_FILTER_BATCH_RECORDS": "1"}
    service = await asyncio.to_thread(start_service, tight)
    async with connect(service).session() as session:
        starts = [*range(0, holes.left[0], 7), *holes.left]
        for number, start in enumerate(starts, start=1):
            await session.open(number, holes.topic, start=at_position({0: start}))
        for number, start in enumerate(starts, start=1):
            assert await session.values(number, len(holes.since(start))) == holes.since(start)
