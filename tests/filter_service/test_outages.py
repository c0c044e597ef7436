"""Kafka away and back: what clients are told meanwhile, and that all goes on by itself. Real processes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import KafkaLookups, client_properties
from tests.conftest import StartKafka
from tests.filter_service.client import EARLIEST, Failure, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import FilterService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.records import RecordWriter
from tests.processes import free_port

UNAVAILABLE = pb.Rejection(code=pb.REJECTION_CODE_UNAVAILABLE, reason="Server unavailable at this moment")
REFUSED = Failure("UNAVAILABLE", "4503 Server unavailable at this moment", UNAVAILABLE)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args)


async def test_kafka_goes_and_returns(start_kafka: StartKafka, start_service: StartService, connect: Connect) -> None:
    """Meanwhile new subscriptions are unavailable and open streams wait; then nothing is missing."""
    kafka = await in_thread(start_kafka)
    service: FilterService = await in_thread(start_service, {"KAFKA_WS_FILTER_KAFKA_TIMEOUT_SEC": "1"}, kafka.bootstrap)
    topic = kafka.create_topic("admin.outage", 2)
    records, client = RecordWriter(kafka.bootstrap), connect(service)
    await in_thread(records.write_all, topic, numbered(0, 10))
    call, waiting = await client.subscribe(topic, EARLIEST), await client.subscribe("admin.later")
    await call.take_values(10)
    async with client.session() as session:
        await session.open(1, topic)
        await in_thread(kafka.terminate, 1)
        await in_thread(service.wait_serving, False)
        await session.until(lambda: session.kafka_available == [True, False])
        assert await client.refused(subscription(topic)) == REFUSED
        assert await session.refused(2, subscription(topic)) == UNAVAILABLE
        assert (await client.validate("a=b")).rejection.code == pb.REJECTION_CODE_INVALID_SYNTAX
        assert (await client.refused(subscription(topic, where="a=b"))).status == "INVALID_ARGUMENT"
        await session.close(1)
        await in_thread(kafka.restart, 1)
        await in_thread(service.wait_serving, True)
        await session.until(lambda: session.kafka_available == [True, False, True])
        await session.open(3, topic, start=EARLIEST)
        await in_thread(records.write_all, topic, numbered(10, 10))
        assert await call.take_values(20) == await session.values(3, 20) == numbered(0, 20)
        kafka.create_topic("admin.later")
        await in_thread(records.write_all, "admin.later", numbered(0, 1))
        assert await waiting.take_values(1) == numbered(0, 1)


async def test_kafka_is_not_there_yet(start_kafka: StartKafka, start_service: StartService, connect: Connect) -> None:
    """A service that starts before its Kafka is alive, not serving, says so, and serves when Kafka has come."""
    kafka = await in_thread(start_kafka)
    await in_thread(kafka.terminate, 1)
    service: FilterService = await in_thread(start_service, None, kafka.bootstrap, False)
    client = connect(service)
    async with client.session() as session:
        assert session.kafka_available == [False]
        assert await client.refused(subscription("admin.t")) == REFUSED
        assert not await in_thread(service.is_serving)
        await in_thread(kafka.restart, 1)
        await in_thread(service.wait_serving, True)
        await session.until(lambda: session.kafka_available == [False, True])
        await session.open(1, "admin.t")


async def test_a_broker_that_cannot_be_reached_where_it_says(start_kafka: StartKafka) -> None:
    """Its metadata can be had, but nothing that subscriptions ask: that is no Kafka that answers."""
    kafka = await in_thread(start_kafka)
    kafka.node(1).configure({"advertised.listeners": f"CLIENTS://127.0.0.1:{free_port()}"})
    await in_thread(kafka.restart, 1)
    lookups = KafkaLookups(client_properties(kafka.bootstrap, {}), 2.0)
    with pytest.raises(KafkaUnavailableError):
        await lookups.check()
    lookups.close()


async def test_kafka_never_comes(start_service: StartService) -> None:
    """SIGTERM ends a service that waits for Kafka, in order."""
    service: FilterService = await in_thread(
        start_service, {"KAFKA_WS_FILTER_KAFKA_TIMEOUT_SEC": "1"}, "127.0.0.1:1", False
    )
    assert await in_thread(service.process.stop) == 0
    assert "Traceback" not in service.process.log()
