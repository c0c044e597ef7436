"""The answers to questions about offsets and topics while a broker has just died, from a real cluster of three."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import pytest

from filter_service.config import FilterSettings
from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import KafkaLookups, client_properties
from tests.conftest import StartKafka
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter

T = TypeVar("T")

PARTITIONS = 6
TOPIC = "admin.leaders"
PLACES = [(TOPIC, number) for number in range(PARTITIONS)]
PATIENCE_SEC = 60.0
HANGS_SEC = 40.0
"""A bound: Kafka gives a broker up after two seconds here; what is told after a minute is told too late."""


@pytest.fixture
async def cluster(start_kafka: StartKafka) -> KafkaCluster:
    """Three brokers, and one record in each partition."""
    kafka = await asyncio.to_thread(start_kafka, 3, {"broker.session.timeout.ms": "2000"})
    await asyncio.to_thread(kafka.create_topic, TOPIC, PARTITIONS, {"retention.ms": "-1"})
    records = RecordWriter(kafka.bootstrap)
    for number in range(PARTITIONS):
        await asyncio.to_thread(records.write, TOPIC, b"{}", partition=number, timestamp_ms=1_000)
    return kafka


async def lookups(cluster: KafkaCluster, patience_sec: float) -> AsyncIterator[KafkaLookups]:
    """Closed at the end."""
    found = KafkaLookups(client_properties(cluster.bootstrap, {}), patience_sec)
    yield found
    found.close()


@pytest.fixture
async def patient(cluster: KafkaCluster) -> AsyncIterator[KafkaLookups]:
    """Waits for the next leader."""
    async for found in lookups(cluster, PATIENCE_SEC):
        yield found


@pytest.fixture
async def hasty(cluster: KafkaCluster) -> AsyncIterator[KafkaLookups]:
    """Does not wait as long as an election takes."""
    async for found in lookups(cluster, 0.5):
        yield found


@pytest.fixture
async def usual(cluster: KafkaCluster) -> AsyncIterator[KafkaLookups]:
    """As the service asks by default."""
    async for found in lookups(cluster, FilterSettings().filter_kafka_timeout_sec):
        yield found


async def ask_all(kafka: KafkaLookups) -> tuple[list[int], ...]:
    """Every question there is about offsets."""
    answers = await asyncio.gather(
        kafka.beginning_offsets(PLACES),
        kafka.end_offsets(PLACES),
        kafka.offsets_at(PLACES, 500),
        kafka.offsets_at(PLACES, 1_500),
    )
    return tuple([answer[place] for place in PLACES] for answer in answers)


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks again and again."""
    while True:
        with suppress(KafkaUnavailableError):
            return await ask()


async def test_a_leader_dies(cluster: KafkaCluster, patient: KafkaLookups, hasty: KafkaLookups) -> None:
    """Who waits gets the right answers from the next leaders; who does not is told, and never gets a wrong offset."""
    right = tuple([offset] * PARTITIONS for offset in (0, 1, 0, 1))
    assert await ask_all(patient) == await ask_all(hasty) == right
    ids = await patient.topic_ids([TOPIC, "admin.missing"])
    assert len(ids[TOPIC]) == 16
    assert ids["admin.missing"] == b""
    gone = await asyncio.to_thread(cluster.leader, TOPIC)
    await asyncio.to_thread(cluster.kill, gone)
    # When the election was quick, the answers are there.
    with suppress(KafkaUnavailableError):
        assert await ask_all(hasty) == right
    assert await ask_all(patient) == right
    assert await patient.topic_ids([TOPIC, "admin.missing"]) == ids
    # One of the three is the one that questions about topics go to.
    for number in {1, 2, 3} - {gone}:
        await asyncio.to_thread(cluster.restart, gone)
        await asyncio.to_thread(cluster.kill, number)
        assert await patient.topic_ids([TOPIC, "admin.missing"]) == ids
        gone = number


async def test_a_broker_hangs(cluster: KafkaCluster, usual: KafkaLookups) -> None:
    """Its connections stay, but nothing comes: it is left for the others long before librdkafka's own 60 seconds."""
    right = await ask_all(usual)
    # One of the three is the one that is asked first.
    for broker in cluster.brokers:
        broker.process.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(HANGS_SEC):
                await until_answered(usual.check)
                assert await until_answered(lambda: ask_all(usual)) == right
        finally:
            broker.process.signal(signal.SIGCONT)
        await asyncio.to_thread(cluster.wait_in_sync, TOPIC)
