"""SIGTERM: clients are told to go elsewhere, records flow until they have, and the process ends in order."""

import asyncio
from signal import SIGTERM

from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import Failure, at_position, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import PATIENCE_SEC
from tests.filter_service.test_subscribe import numbered
from tests.kafka.records import RecordWriter

REFUSED = pb.Rejection(code=pb.REJECTION_CODE_UNAVAILABLE, reason="Server unavailable at this moment")
ENDED = Failure("UNAVAILABLE", "4503 this replica is draining; open the subscription at another one", REFUSED)


async def test_a_drain(
    start_service: StartService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Open streams are told and go on for the grace period, new ones are refused, and both end as unavailable."""
    service = await asyncio.to_thread(start_service, {"KAFKA_WS_SHUTDOWN_GRACE_SEC": "3"})
    client, topic = connect(service), create_topic()
    call = await client.subscribe(topic)
    async with client.session() as session:
        await session.open(1, topic)
        service.process.signal(SIGTERM)
        await call.until(lambda: call.is_draining)
        await session.until(lambda: session.drains)
        assert 0 < session.drains[0].grace_ms <= 3_000
        assert not service.is_serving()
        records.write_all(topic, numbered(0, 10))
        assert await call.take_values(10) == await session.values(1, 10) == numbered(0, 10)
        assert await client.refused(subscription(topic)) == ENDED
        assert await session.refused(2, subscription(topic)) == REFUSED
        async with client.session() as late:
            await late.until(lambda: late.drains)
            assert late.drains[0].grace_ms <= session.drains[0].grace_ms
        assert await call.failed() == ENDED
        assert await session.end() == ENDED
    assert service.process.wait(PATIENCE_SEC) == 0
    assert service.process.log().count('"level": "error"') == 0
    assert "Traceback" not in service.process.log()


async def test_a_drain_that_nobody_waits_for(start_service: StartService, connect: Connect) -> None:
    """As soon as the last stream has gone the process ends, however long the grace period."""
    service = await asyncio.to_thread(start_service, {"KAFKA_WS_SHUTDOWN_GRACE_SEC": "3600"})
    async with connect(service).session() as session:
        service.process.signal(SIGTERM)
        await session.until(lambda: session.drains)
        assert service.process.running
    assert await asyncio.to_thread(service.process.wait, PATIENCE_SEC) == 0


async def test_handed_over_to_another_replica(
    start_service: StartService, connect: Connect, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A subscription moved by its position while records are written gets each of them once, in order."""
    services = [await asyncio.to_thread(start_service) for _ in range(2)]
    topic, total = create_topic(partitions=2), 3_000
    async with connect(services[0]).session() as before, connect(services[1]).session() as after:
        await before.open(1, topic)
        writing = asyncio.gather(
            *(asyncio.to_thread(records.write_all, topic, numbered(0, total), partition=p) for p in range(2))
        )
        await before.until(lambda: len(before.followers[1].records) > 100)
        services[0].process.signal(SIGTERM)
        await before.until(lambda: before.drains)
        old = before.followers[1]
        await after.open(1, topic, start=at_position(old.positions))
        begin = after.opens[1].start.next_offsets
        await before.close(1)
        await writing
        await after.values(1, sum(total - begin[partition] for partition in range(2)))
        for partition in range(2):
            kept = old.values(partition)[: begin[partition]]
            assert kept + after.followers[1].values(partition) == numbered(0, total)
