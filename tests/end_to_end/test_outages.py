"""Kafka, Redis or a tier away: refused before the upgrade, open sockets wait, and all goes on when it returns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import CreateTopic, MakeStack, StartKafka, StartRedis
from tests.end_to_end.test_positions import records_of, rest
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent, Socket
from tests.stack.stack import TICKET


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def refusal(client: Client, topic: str, ticket: str) -> int:
    """The HTTP status of an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await client.connect(topic, ticket=ticket)
    return refused.value.response.status_code


async def numbers(socket: Socket, count: int) -> list[int]:
    """The numbers of the next `count` records."""
    return [value["n"] for value in await socket.values(count)]


def numbered(first: int, count: int) -> list[bytes]:
    """Payloads of numbered records."""
    return [b'{"n":%d}' % number for number in range(first, first + count)]


async def test_kafka_goes_and_returns(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """Without Kafka new clients get 503 and readiness is false; open sockets stay, and miss nothing afterwards."""
    kafka = await in_thread(start_kafka)
    stack = await in_thread(make_stack, bootstrap=kafka.bootstrap)
    client = stack.client()
    topic = await in_thread(kafka.create_topic, "admin.outage")
    records = RecordWriter(kafka.bootstrap)
    async with await client.connect(topic) as socket:
        await in_thread(records.write_all, topic, numbered(0, 3))
        assert await numbers(socket, 3) == [0, 1, 2]
        ticket = await client.get_ticket()
        await in_thread(kafka.terminate, 1)
        await in_thread(stack.wait_until_ready, "edge-1", ready=False)
        assert await refusal(client, topic, ticket) == 503
        await in_thread(kafka.restart, 1)
        await in_thread(stack.wait_until_ready, "edge-1")
        await in_thread(records.write_all, topic, numbered(3, 3))
        assert await numbers(socket, 3) == [3, 4, 5]
        async with await client.connect(topic, ticket=ticket) as another:
            await in_thread(records.write_all, topic, numbered(6, 1))
            assert await numbers(another, 1) == [6]


async def test_kafka_stays_away(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """A socket that nobody can serve any more within the configured time is closed with 4503."""
    kafka = await in_thread(start_kafka)
    stack = await in_thread(
        make_stack, bootstrap=kafka.bootstrap, settings={"KAFKA_WS_SERVER_UNAVAILABLE_TIMEOUT_SEC": "2"}
    )
    topic = await in_thread(kafka.create_topic, "admin.outage")
    async with await stack.client().connect(topic) as socket:
        await in_thread(kafka.terminate, 1)
        assert await socket.closed(60) == CloseEvent(4503, "Server unavailable at this moment")


async def test_kafka_is_not_there_yet(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """A system that starts before its Kafka is alive, unready, and takes clients as soon as Kafka has come."""
    kafka = await in_thread(start_kafka)
    await in_thread(kafka.terminate, 1)
    stack = await in_thread(make_stack, bootstrap=kafka.bootstrap, start=False)
    for name in (TICKET, "filter-1", "edge-1"):
        await in_thread(stack.begin_start, name)
    client = stack.client()
    async with asyncio.timeout(60):
        while True:
            try:
                response = await client.request("/healthz")
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
    assert response.status == 200
    assert (await client.request("/readyz")).status == 503
    await in_thread(kafka.restart, 1)
    await in_thread(stack.wait_until_ready, "edge-1")
    topic = await in_thread(kafka.create_topic, "admin.outage")
    async with await client.connect(topic) as socket:
        await in_thread(RecordWriter(kafka.bootstrap).write_all, topic, numbered(0, 1))
        assert await numbers(socket, 1) == [0]


async def test_redis_goes_and_returns(
    make_stack: MakeStack, start_redis: StartRedis, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Without Redis no ticket is given or taken (503); open sockets go on; afterwards tickets are there again."""
    redis = await in_thread(start_redis)
    stack = await in_thread(make_stack, redis=redis.address)
    client = stack.client()
    topic = create_topic()
    async with await client.connect(topic) as socket:
        ticket = await client.get_ticket()
        await in_thread(redis.kill)
        await in_thread(stack.wait_until_ready, "edge-1", ready=False)
        assert (await client.request_ticket(f"Bearer {stack.tokens.token('admin')}")).status == 503
        assert await refusal(client, topic, ticket) == 503
        await in_thread(records.write_all, topic, numbered(0, 2))
        assert await numbers(socket, 2) == [0, 1]
        await in_thread(redis.start)
        await in_thread(stack.wait_until_ready, "edge-1")
        async with await client.connect(topic) as another:
            await in_thread(records.write_all, topic, numbered(2, 1))
            assert await numbers(another, 1) == [2]


@pytest.mark.parametrize("ending", ["kill", "stop_one"])
async def test_a_filter_replica_goes(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, ending: str
) -> None:
    """Whichever of two replicas dies or drains under load, and returns: every record once, in order."""
    stack = await in_thread(make_stack, filters=2)
    topics = [create_topic() for _ in range(6)]
    sockets = [await stack.client().connect(topic, where="n=gte:10;") for topic in topics]
    total = 400

    async def produce() -> None:
        for first in range(0, total, 10):
            for topic in topics:
                await in_thread(records.write_all, topic, numbered(first, 10))

    async def disturb() -> None:
        for name in ("filter-1", "filter-2"):
            await in_thread(getattr(stack, ending), name)
            await asyncio.sleep(0.3)
            await in_thread(stack.start_one, name)

    async def read(socket: Socket) -> None:
        assert await numbers(socket, total - 10) == list(range(10, total))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(disturb())
        for socket in sockets:
            tasks.create_task(read(socket))
    for socket in sockets:
        await socket.close()


async def test_partitions_are_added(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """A partition that a topic gets while a client is connected is read from its first record."""
    kafka = await in_thread(start_kafka)
    stack = await in_thread(make_stack, bootstrap=kafka.bootstrap)
    topic = await in_thread(kafka.create_topic, "admin.growing")
    records = RecordWriter(kafka.bootstrap)
    async with await stack.client().connect(topic) as socket:
        await in_thread(kafka.add_partitions, topic, 3)
        await in_thread(records.write_all, topic, numbered(0, 2), partition=2)
        assert await numbers(socket, 2) == [0, 1]
        await in_thread(records.write_all, topic, numbered(2, 1), partition=0)
        assert await numbers(socket, 1) == [2]


async def test_positions_in_partitions_that_are_added(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """With `format=record` a topic may grow under two filter replicas: every position, from before and after, resumes
    with all that follows it, the new partitions included."""
    kafka = await in_thread(start_kafka)
    stack = await in_thread(make_stack, bootstrap=kafka.bootstrap, filters=2)
    topic = await in_thread(kafka.create_topic, "admin.growing")
    seen: list[Any] = []
    async with await stack.client().connect(topic, parameters={"format": "record"}) as socket:
        for partitions in (1, 3, 6):
            if partitions > 1:
                await in_thread(kafka.add_partitions, topic, partitions)
            records = RecordWriter(kafka.bootstrap)  # one that knows of them
            for partition in range(partitions):
                await in_thread(records.write_all, topic, numbered(10 * partitions, 4), partition=partition)
            seen += await records_of(socket, 4 * partitions)
    places = [(record["partition"], record["offset"]) for record in seen]
    assert len(set(places)) == 40
    for last in (0, 3, 5, 15, 16, 30):
        parameters = {"from": seen[last]["position"], "until": "latest", "format": "record"}
        async with await stack.client().connect(topic, parameters=parameters) as socket:
            values, close = await rest(socket)
        assert close.code == 1000
        again = [(value["partition"], value["offset"]) for value in values if "offset" in value]
        assert sorted(again) == sorted(places[last + 1 :])


async def test_records_that_are_no_messages(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Tombstones, broken JSON, scalars, bad UTF-8 and absurd nesting are passed over; what follows arrives."""
    topic = create_topic()
    poison: list[bytes | None] = [
        None,
        b"",
        b"{",
        b"5",
        b'"text"',
        b"null",
        b"NaN",
        b'{"n":NaN}',
        b"\xef\xbb\xbf{}",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"[" * 5_000 + b"]" * 5_000,
    ]
    async with await client.connect(topic) as plain, await client.connect(topic, where="n=gte:0;", fields="n") as cut:
        await in_thread(records.write_all, topic, [*poison, b'{"n":1,"bad":"\xff"}'])
        assert await plain.value() == {"n": 1, "bad": "\N{REPLACEMENT CHARACTER}"}
        assert await cut.value() == {"n": 1}
