"""Start anywhere, end anywhere, resume: `from`, `until`, `format`, `on_gap` over the whole path."""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import crc32
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import CreateTopic, MakeStack, StartKafka
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent, Socket


def numbered(first: int, count: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(first, first + count)]


async def numbers(socket: Socket, count: int) -> list[int]:
    return [value["n"] for value in await socket.values(count)]


async def records_of(socket: Socket, count: int) -> list[dict[str, Any]]:
    """The next `count` records of `format=record`; positions told between them are left out."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        value = await socket.value()
        if "offset" in value:
            found.append(value)
    return found


async def rest(socket: Socket) -> tuple[list[Any], CloseEvent]:
    """Everything up to the close, and the close."""
    values = []
    try:
        while True:
            values.append(await socket.value())
    except ConnectionClosed:
        return values, await socket.closed()


async def test_earliest(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`from=earliest` gives everything that is there, then what comes, each record once, in order."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 3000))
    async with await client.connect(topic, parameters={"from": "earliest"}, where="n=gte:5;") as socket:
        assert await numbers(socket, 2995) == list(range(5, 3000))
        await asyncio.to_thread(records.write_all, topic, numbered(3000, 10))
        assert await numbers(socket, 10) == list(range(3000, 3010))


async def test_live_records_during_catching_up(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """While a client catches up, what is written meanwhile neither passes by nor comes twice."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 20_000))
    async with await client.connect(topic, parameters={"from": "earliest"}) as socket:

        async def write() -> None:
            for first in range(20_000, 25_000, 50):
                await asyncio.to_thread(records.write_all, topic, numbered(first, 50))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            assert await numbers(socket, 25_000) == list(range(25_000))


@pytest.mark.parametrize("iso", [True, False], ids=["ISO 8601", "milliseconds"])
async def test_a_time(client: Client, create_topic: CreateTopic, records: RecordWriter, iso: bool) -> None:
    """`from=<time>` begins with the first record of that time or later."""
    topic = create_topic(config={"retention.ms": "-1"})
    hour = 1_750_000_000_000
    for number in range(5):
        records.write(topic, b'{"n":%d}' % number, timestamp_ms=hour + number * 1000)
    moment = hour + 2000
    start = datetime.fromtimestamp(moment / 1000, UTC).isoformat() if iso else str(moment)
    async with await client.connect(topic, parameters={"from": start}) as socket:
        assert await numbers(socket, 3) == [2, 3, 4]


async def test_a_query_over_history(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`from` and `until` deliver what lies between, then close with 1000."""
    topic = create_topic(partitions=2)
    for number in range(100):
        records.write(topic, b'{"n":%d}' % number, partition=number % 2)
    async with await client.connect(topic, parameters={"from": "earliest", "until": "latest"}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(100, 5))
        values, close = await rest(socket)
    assert sorted(value["n"] for value in values) == list(range(100))
    assert close == CloseEvent(1000, "")


async def test_the_ends_of_a_query(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`until` may be a time, in any way to write one, or a position; what begins behind its end is empty."""
    topic = create_topic(config={"retention.ms": "-1"})
    hour = 1_750_000_000_000
    for number in range(6):
        records.write(topic, b'{"n":%d}' % number, timestamp_ms=hour + number * 1000)
    async with await client.connect(topic, parameters={"from": "earliest", "format": "record"}) as socket:
        tokens = [record["position"] for record in await records_of(socket, 6)]
    third = datetime.fromtimestamp(hour / 1000 + 3, UTC)
    for begin, end, expected in (
        ("earliest", str(hour + 3000), [0, 1, 2]),
        ("earliest", third.isoformat(), [0, 1, 2]),
        ("earliest", third.replace(tzinfo=None).isoformat(), [0, 1, 2]),
        ("earliest", f"{third.replace(tzinfo=None).isoformat()}Z", [0, 1, 2]),
        ("earliest", third.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(), [0, 1, 2]),
        (str(hour + 1000), tokens[3], [1, 2, 3]),
        (tokens[1], tokens[3], [2, 3]),
        ("0", "latest", [0, 1, 2, 3, 4, 5]),
        ("earliest", "999999999999999", [0, 1, 2, 3, 4, 5]),
        ("earliest", "0", []),
        (str(hour + 4000), str(hour + 1000), []),
        (tokens[4], tokens[1], []),
        ("999999999999999", "latest", []),
    ):
        async with await client.connect(topic, parameters={"from": begin, "until": end}) as socket:
            values, close = await rest(socket)
        assert [value["n"] for value in values] == expected, (begin, end)
        assert close == CloseEvent(1000, "")


async def test_a_query_over_nothing(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """What ends where it begins is closed at once; so is what no record passes, and a topic that does not exist."""
    topic = create_topic(partitions=3)
    records.write_all(topic, numbered(0, 50))
    for parameters, where in (
        ({"until": "latest"}, None),
        ({"from": "earliest", "until": "latest"}, "n=gte:1000;"),
    ):
        async with await client.connect(topic, parameters=parameters, where=where) as socket:
            assert await rest(socket) == ([], CloseEvent(1000, ""))
    async with await client.connect(f"{topic}.missing", parameters={"until": "latest"}) as socket:
        assert await rest(socket) == ([], CloseEvent(1000, ""))


async def test_records(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`format=record` tells everything that Kafka keeps; `fields` cuts the value only."""
    topic = create_topic(config={"retention.ms": "-1"})
    headers = [("trace", b"a"), ("trace", b"\xff"), ("none", None)]
    async with await client.connect(topic, fields="n", parameters={"format": "record"}) as socket:
        await asyncio.to_thread(
            records.write, topic, b'{"n": 1e2, "x": 2}', key=b"k", headers=headers, timestamp_ms=1_750_000_000_123
        )
        (record,) = await records_of(socket, 1)
    position = record.pop("position")
    assert isinstance(position, str)
    assert record == {
        "topic": topic,
        "partition": 0,
        "offset": 0,
        "timestamp": 1_750_000_000_123,
        "key": "k",
        "headers": [
            {"key": "trace", "value": "a"},
            {"key": "trace", "value": {"base64": "/w=="}},
            {"key": "none", "value": None},
        ],
        "value": {"n": 100.0},
    }


async def test_resuming_from_every_record(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Whichever record was the last, its position goes on right behind it, over all partitions."""
    topic = create_topic(partitions=3)
    for number in range(30):
        records.write(topic, b'{"n":%d}' % number, partition=number % 3)
    async with await client.connect(topic, parameters={"from": "earliest", "format": "record"}) as socket:
        seen = await records_of(socket, 30)
    for last in (0, 7, 15, 28):
        parameters = {"from": seen[last]["position"], "until": "latest", "format": "record"}
        async with await client.connect(topic, parameters=parameters) as socket:
            values, close = await rest(socket)
        assert close.code == 1000
        again = {(value["partition"], value["offset"]) for value in values if "offset" in value}
        before = {(value["partition"], value["offset"]) for value in seen[: last + 1]}
        assert again == {(p, o) for p in range(3) for o in range(10)} - before


async def test_quiet_streams_tell_their_position(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Where nothing passes the filter a position is told all the same, and resumes without reading all again."""
    topic = create_topic()
    async with await client.connect(topic, where="n=gte:1000;", parameters={"format": "record"}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 100))
        positions: list[str] = []
        while len(positions) < 3:
            value = await socket.value()
            assert list(value) == ["position"]
            positions.append(value["position"])
    async with await client.connect(topic, parameters={"from": positions[-1]}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(100, 1))
        assert await numbers(socket, 1) == [100]


def of_the_next_version(token: str) -> str:
    """A good token, but for its version; the format is told in `edge.position_token`."""
    body = b"\x02" + urlsafe_b64decode(token + "=" * (-len(token) % 4))[1:-4]
    return urlsafe_b64encode(body + crc32(body).to_bytes(4, "big")).rstrip(b"=").decode()


async def test_positions_that_are_none(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A token that is damaged, cut, too long, newer, or of another topic, and what is none at all: 4000 says why."""
    topic, other = create_topic(), create_topic()
    async with await client.connect(topic, parameters={"format": "record"}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 1))
        (record,) = await records_of(socket, 1)
    token = record["position"]
    for parameter in ("from", "until"):
        for name, text in (
            (other, token),
            (topic, token[:-1]),
            (topic, token[: len(token) // 2]),
            (topic, token + "A"),
            (topic, "A" * 70_000),
            (topic, of_the_next_version(token)),
            (topic, "soon"),
            (topic, "%%"),
            (topic, "-1"),
            (topic, "1.5"),
        ):
            async with await client.connect(name, parameters={parameter: text}) as socket:
                close = await socket.closed()
                assert close.code == 4000
                assert close.reason.startswith(f"invalid {parameter}: ")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("format=xml", "invalid format: "),
        ("on_gap=ignore", "invalid on_gap: "),
        ("on_gap=continue", "invalid on_gap: "),
        ("from=latest&from=earliest", "invalid from: "),
        ("until=earliest", "invalid until: "),
        ("from=2026-13-01", "invalid from: "),
        ("from=1969-01-01", "invalid from: "),
    ],
)
async def test_parameters_that_cannot_be(client: Client, create_topic: CreateTopic, query: str, reason: str) -> None:
    """A wrong parameter is refused with 4000 and named, never ignored."""
    async with await client.connect(create_topic(), query=query) as socket:
        close = await socket.closed()
    assert close.code == 4000
    assert close.reason.startswith(reason)


async def test_retention(client: Client, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster) -> None:
    """A position whose records are gone is closed with 4410, or goes on behind a notice with `on_gap=continue`."""
    topic = create_topic()
    async with await client.connect(topic, parameters={"format": "record"}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 10))
        seen = await records_of(socket, 10)
    kafka.delete_records(topic, before=7)
    token = seen[3]["position"]
    async with await client.connect(topic, parameters={"from": token}) as socket:
        assert await socket.closed() == CloseEvent(4410, "partition 0: offset 4 is gone, first offset is 7")
    parameters = {"from": token, "format": "record", "on_gap": "continue"}
    async with await client.connect(topic, parameters=parameters) as socket:
        notice = await socket.value()
        assert notice["gap"] == {"partition": 0, "from": 4, "to": 7}
        assert isinstance(notice["position"], str)
        assert [record["offset"] for record in await records_of(socket, 3)] == [7, 8, 9]


async def test_a_topic_that_is_created_again(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """A position in a topic that was deleted does not go on in a new one of that name, nor does an open socket."""
    kafka = await asyncio.to_thread(start_kafka)
    stack = await asyncio.to_thread(
        make_stack, bootstrap=kafka.bootstrap, settings={"KAFKA_WS_FILTER_METADATA_INTERVAL_SEC": "0.5"}
    )
    client = stack.client()
    records = RecordWriter(kafka.bootstrap)
    topic = await asyncio.to_thread(kafka.create_topic, "admin.again")
    async with await client.connect(topic, parameters={"format": "record"}) as socket:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 3))
        token = (await records_of(socket, 3))[-1]["position"]
        await asyncio.to_thread(kafka.delete_topic, topic)
        await asyncio.to_thread(kafka.create_topic, topic)
        _, close = await rest(socket)
        assert close.code == 4410
    await asyncio.to_thread(records.write_all, topic, numbered(0, 10))
    async with await client.connect(topic, parameters={"from": token}) as socket:
        close = await socket.closed()
    assert close.code == 4410
    assert "deleted" in close.reason


async def test_a_slow_client_with_an_end(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A client that stops reading a long history gets all of it once it reads again, and then the close."""
    topic = create_topic()
    padding = "x" * 1000
    values = [json.dumps({"n": number, "padding": padding}).encode() for number in range(20_000)]
    await asyncio.to_thread(records.write_all, topic, values)
    async with await client.connect(topic, parameters={"from": "earliest", "until": "latest"}) as socket:
        socket.connection.transport.pause_reading()
        await asyncio.sleep(1)
        socket.connection.transport.resume_reading()
        found, close = await rest(socket)
    assert [value["n"] for value in found] == list(range(20_000))
    assert close.code == 1000
