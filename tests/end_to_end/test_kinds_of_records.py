"""Whatever a producer does: large records, every compression, transactions, compaction. Over the whole path."""

import asyncio
import json
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.conftest import CreateTopic
from tests.end_to_end import test_events
from tests.end_to_end.test_positions import numbered, numbers, records_of, rest
from tests.filter_service.client import EARLIEST
from tests.filter_service.client import Client as FilterClient
from tests.kafka.cluster import KafkaCluster
from tests.kafka.compaction import COMPACTED, compact, write_rounds
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent
from tests.stack.stack import Stack

LARGE = 5 * 1024 * 1024
"""Bytes of a record that a broker takes only when it is told to."""


def large(number: int) -> bytes:
    """A record of `LARGE` bytes."""
    head, tail = b'{"n":%d,"padding":"' % number, b'"}'
    return head + b"x" * (LARGE - len(head) - len(tail)) + tail


@pytest.fixture(scope="module")
def large_topic(create_topic: CreateTopic, kafka: KafkaCluster) -> str:
    """Holds four large records, and a small one behind them."""
    topic = create_topic(config={"max.message.bytes": str(LARGE + 1024)})
    RecordWriter(kafka.bootstrap).write_all(topic, [*(large(number) for number in range(4)), b'{"n":4}'])
    return topic


async def test_large_records_on_a_websocket(
    client: Client, create_topic: CreateTopic, large_topic: str, records: RecordWriter
) -> None:
    """Records of 5 MB come whole, as history and as they are written, cut, enveloped or neither."""
    async with await client.connect(large_topic, parameters={"from": "earliest"}) as socket:
        for number in range(4):
            assert await socket.text() == large(number).decode()
        assert await socket.value() == {"n": 4}
    async with await client.connect(large_topic, parameters={"from": "earliest"}, fields="n") as socket:
        assert await numbers(socket, 5) == list(range(5))
    parameters = {"from": "earliest", "format": "record"}
    async with await client.connect(large_topic, parameters=parameters) as socket:
        enveloped = await records_of(socket, 5)
    assert [record["value"]["n"] for record in enveloped] == list(range(5))
    assert all(len(record["value"]["padding"]) > LARGE - 100 for record in enveloped[:4])
    # A position between large records.
    parameters = {"from": enveloped[1]["position"], "until": "latest"}
    async with await client.connect(large_topic, parameters=parameters, where="n=gte:3;") as socket:
        values, close = await rest(socket)
    assert ([value["n"] for value in values], close) == ([3, 4], CloseEvent(1000, ""))
    topic = create_topic(config={"max.message.bytes": str(LARGE + 1024)})
    async with await client.connect(topic) as whole, await client.connect(topic, fields="n") as cut:
        await asyncio.to_thread(records.write_all, topic, [large(number) for number in range(4)])
        assert await numbers(cut, 4) == list(range(4))
        for number in range(4):
            assert await whole.text() == large(number).decode()


async def test_large_records_as_events(client: Client, large_topic: str) -> None:
    """Records of 5 MB come whole as server-sent events, and an id between them resumes there."""
    ticket = await client.get_ticket()
    async with await test_events.listen(client, large_topic, ticket=ticket, from_="earliest") as stream:
        first = await stream.event()
        second = await stream.event()
    assert (first.data, second.data) == (large(0).decode(), large(1).decode())
    async with await test_events.listen(client, large_topic, ticket=ticket, last_id=second.id) as stream:
        assert (await stream.event()).data == large(2).decode()


async def test_large_records_over_grpc(stack: Stack, large_topic: str) -> None:
    """Records of 5 MB come whole from `Subscribe`, with and without `fields`."""
    filter_client = FilterClient(stack.filter_address())
    try:
        call = await filter_client.subscribe(large_topic, EARLIEST, with_metadata=True)
        assert await call.take_values(5) == [*(large(number) for number in range(4)), b'{"n":4}']
        call = await filter_client.subscribe(large_topic, EARLIEST, fields="n")
        assert await call.take_values(5) == numbered(0, 5)
    finally:
        await filter_client.close()


async def test_every_compression(client: Client, create_topic: CreateTopic, kafka: KafkaCluster) -> None:
    """What producers compress with zstd, lz4, snappy or gzip, and do not compress, comes alike and in order."""
    topic = create_topic()
    codecs = ["none", "zstd", "lz4", "snappy", "gzip"]
    padding = "x" * 1_000
    async with await client.connect(topic) as live:
        for index, codec in enumerate(codecs):
            writer = RecordWriter(kafka.bootstrap, {"compression.type": codec, "linger.ms": 50})
            values = [json.dumps({"n": 100 * index + each, "p": padding}).encode() for each in range(100)]
            await asyncio.to_thread(writer.write_all, topic, values)
        expected = [{"n": number, "p": padding} for number in range(500)]
        assert await live.values(500) == expected
    async with await client.connect(topic, parameters={"from": "earliest", "until": "latest"}) as past:
        assert (await rest(past))[0] == expected


async def test_transactions(
    client: Client, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster
) -> None:
    """Records come when their transaction is committed, and never when it is aborted; `until=latest` does not wait."""
    topic = create_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "log_level": 0})
    await asyncio.to_thread(producer.init_transactions, 60)

    async def write(first: int) -> None:
        producer.begin_transaction()
        for value in numbered(first, 3):
            producer.produce(topic, value, partition=0)
        assert await asyncio.to_thread(producer.flush, 60) == 0

    history: dict[str, Any] = {"parameters": {"from": "earliest", "until": "latest"}}
    async with await client.connect(topic) as live:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 2))
        assert await numbers(live, 2) == [0, 1]
        await write(90)
        await asyncio.to_thread(records.write_all, topic, numbered(2, 1))
        async with await client.connect(topic, **history) as past:
            assert await rest(past) == ([{"n": 0}, {"n": 1}], CloseEvent(1000, ""))
        await asyncio.to_thread(producer.abort_transaction, 60)
        assert await numbers(live, 1) == [2]
        await write(3)
        async with await client.connect(topic, parameters={"format": "record"}) as late:
            await asyncio.to_thread(producer.commit_transaction, 60)
            assert await numbers(live, 3) == [3, 4, 5]
            assert [record["value"]["n"] for record in await records_of(late, 3)] == [3, 4, 5]
    async with await client.connect(topic, **history) as past:
        assert [value["n"] for value in (await rest(past))[0]] == list(range(6))


async def test_compaction(
    client: Client, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster
) -> None:
    """What a compaction has left comes, and a position among records that it has removed goes on behind them."""
    topic = create_topic(config=COMPACTED)
    stays_from = await asyncio.to_thread(write_rounds, records, topic, 3, 20)
    history = {"until": "latest", "format": "record"}
    async with await client.connect(topic, parameters={"from": "earliest", **history}) as socket:
        values, _ = await rest(socket)
    # However much has been compacted by now.
    seen = [value for value in values if "offset" in value]
    left = await asyncio.to_thread(compact, kafka, records, topic, stays_from)
    starts = {"earliest": left}
    for one in (seen[0], seen[len(seen) // 2], seen[-1]):
        starts[one["position"]] = [offset for offset in left if offset > one["offset"]]
    for start, rest_of_all in starts.items():
        for where, expected in (("", rest_of_all), ("n=lt:0;", [])):
            async with await client.connect(topic, parameters={"from": start, **history}, where=where) as socket:
                values, close = await rest(socket)
            assert [value["offset"] for value in values if "offset" in value] == expected
            assert close == CloseEvent(1000, "")
