"""Promise 1: a record produced after the client has seen 101 is delivered, whatever the number of replicas."""

import asyncio

import pytest

from tests.conftest import CreateTopic, MakeStack, MakeTopicName
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.stack.client import Client

REPETITIONS = 200
AT_A_TIME = 10


def batches() -> list[range]:
    """The numbers of all repetitions, in groups that run together."""
    return [range(first, first + AT_A_TIME) for first in range(0, REPETITIONS, AT_A_TIME)]


@pytest.fixture(params=[(1, 1), (2, 2)], ids=["one of each", "two filters, two edges"])
def clients(request: pytest.FixtureRequest, make_stack: MakeStack) -> list[Client]:
    """A client of every edge of a system with (filters, edges)."""
    filters, edges = request.param
    stack = make_stack(filters=filters, edges=edges)
    return [stack.client(number) for number in range(1, edges + 1)]


async def sees_its_record(clients: list[Client], records: RecordWriter, topic: str, number: int) -> None:
    """Connects to one of the edges, writes a record at once, and waits for it."""
    client = clients[number % len(clients)]
    mine = f'{{"number":{number}}}'.encode()
    async with await client.connect(topic, where=f"number={number};") as socket:
        await asyncio.to_thread(records.write_all, topic, [mine], partition=0)
        assert await socket.value() == {"number": number}


async def test_on_a_known_topic(clients: list[Client], create_topic: CreateTopic, records: RecordWriter) -> None:
    """Two hundred clients, each of which writes as soon as it is connected, all get their record."""
    topic = create_topic(partitions=3)
    for batch in batches():
        await asyncio.gather(*(sees_its_record(clients, records, topic, number) for number in batch))


async def test_on_new_topics(
    clients: list[Client], kafka: KafkaCluster, topic: MakeTopicName, records: RecordWriter
) -> None:
    """Two hundred clients of topics that are only created after they have connected all get the first record."""

    async def first_record(number: int) -> None:
        name = topic()
        client = clients[number % len(clients)]
        async with await client.connect(name) as socket:
            await asyncio.to_thread(kafka.create_topic, name, 2)
            await asyncio.to_thread(records.write_all, name, [b'{"first":1}'], partition=1)
            assert await socket.value() == {"first": 1}

    for batch in batches():
        await asyncio.gather(*(first_record(number) for number in batch))
