"""Server-sent events over the whole path: coming again by the last id, at any edge, as long as one may."""

import asyncio
import hashlib
import itertools
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.conftest import CreateTopic, MakeStack, StartKafka
from tests.edge.event_stream import Event, EventStream
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.redis_server import RedisAddress
from tests.stack.client import Client
from tests.stack.stack import TICKET, Stack

INVALID = {"message": "Invalid ticket"}


def numbered(first: int, count: int) -> list[bytes]:
    """Payloads with the numbers from `first` on."""
    return [b'{"n":%d}' % number for number in range(first, first + count)]


def numbers(events: list[Event]) -> list[int]:
    """The numbers of the records among some events."""
    return [event.value["n"] for event in events if event.type == "message"]


async def listen(
    client: Client,
    topic: str,
    *,
    ticket: str | None = None,
    last_id: str = "",
    token: str | None = None,
    version: str = "1.1",
    **parameters: str,
) -> EventStream:
    """Ask for events with a ticket (None: a fresh one, empty: none), or with a token. `from_` stands for `from`."""
    if ticket is None and token is None:
        ticket = await client.get_ticket()
    given = {name.removesuffix("_"): value for name, value in parameters.items()}
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    target = client.target(topic, ticket=ticket or None, parameters=given)
    return await EventStream.open(client.url, target, last_id=last_id, headers=headers, version=version)


async def refusal(stream: EventStream) -> tuple[int, Any]:
    """What was answered instead of a stream."""
    async with stream:
        return stream.status, await stream.error()


async def test_coming_again_with_the_used_ticket(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """From any event on, with the same URL: what follows it comes, each record once, over all partitions."""
    topic = create_topic(partitions=3)
    ticket = await client.get_ticket()
    async with await listen(client, topic, ticket=ticket) as stream:
        for partition in range(3):
            await asyncio.to_thread(records.write_all, topic, numbered(10 * partition, 10), partition=partition)
        events = await stream.events(30)
    await asyncio.to_thread(records.write_all, topic, numbered(30, 5), partition=1)
    for seen in (0, 13, 29):
        async with await listen(client, topic, ticket=ticket, last_id=events[seen].id) as again:
            rest = await again.events(34 - seen)
        assert sorted(numbers(events[: seen + 1] + rest)) == list(range(35))


async def test_coming_again_before_the_first_record(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Who is cut off right after the response's head knows where the stream began; nothing is missed."""
    topic = create_topic()
    ticket = await client.get_ticket()
    async with await listen(client, topic, ticket=ticket) as stream:
        last_id = await stream.told()
    await asyncio.to_thread(records.write_all, topic, numbered(0, 5))
    async with await listen(client, topic, ticket=ticket, last_id=last_id) as again:
        assert numbers(await again.events(5)) == list(range(5))


async def test_envelopes(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Keys and headers that are no text, and payloads over several lines, arrive whole in `format=record`."""
    topic = create_topic(config={"retention.ms": "-1"})
    headers = [("trace", b"1"), ("bytes", b"\xff\x00"), ("none", None), ("trace", b"2")]
    async with await listen(client, topic, format="record") as stream:
        place = await asyncio.to_thread(
            records.write, topic, b'{\r\n\t"n": 1,\n\n"text": "a\\nb"}', key=b"\xfe", headers=headers, timestamp_ms=1234
        )
        event = await stream.event()
    value = event.value
    assert value.pop("position") == event.id.partition(".")[0]
    assert value == {
        "topic": topic,
        "partition": 0,
        "offset": place.offset,
        "timestamp": 1234,
        "key": {"base64": "/g=="},
        "headers": [
            {"key": "trace", "value": "1"},
            {"key": "bytes", "value": {"base64": "/wA="}},
            {"key": "none", "value": None},
            {"key": "trace", "value": "2"},
        ],
        "value": {"n": 1, "text": "a\nb"},
    }


async def test_a_token_instead_of_a_ticket(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`Authorization: Bearer` opens a stream and goes on with one; a bad or expired token is 401."""
    topic = create_topic()
    token = client.tokens.token()
    async with await listen(client, topic, token=token) as stream:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 6))
        events = await stream.events(3)
    async with await listen(client, topic, token=token, last_id=events[2].id) as again:
        assert numbers(await again.events(3)) == [3, 4, 5]
    for bad in ("forged", client.tokens.token(exp=1), client.tokens.token(secret="x" * 40)):
        invalid = (401, {"message": "Invalid JWT token"})
        assert await refusal(await listen(client, topic, token=bad, last_id=events[2].id)) == invalid
    forbidden = (403, {"message": "Tenant can't access this topic", "code": 4403})
    assert await refusal(await listen(client, topic, token=client.tokens.token("other"))) == forbidden


async def test_a_revoked_credential(
    client: Client, create_topic: CreateTopic, records: RecordWriter, redis_address: RedisAddress
) -> None:
    """Deleting one entry from Redis keeps one client out, at every edge, and no other."""
    topic = create_topic()
    ticket = await client.get_ticket()
    ids = []
    for given in (ticket, None):
        async with await listen(client, topic, ticket=given) as stream:
            ids.append(await stream.told())
    credential = ids[0].split(".")[1]
    async with Redis.from_url(redis_address.url) as redis:
        assert await redis.delete(f"kafka-ws:resume:{hashlib.sha256(credential.encode()).hexdigest()}") == 1
    await asyncio.to_thread(records.write_all, topic, numbered(0, 2))
    assert await refusal(await listen(client, topic, ticket=ticket, last_id=ids[0])) == (401, INVALID)
    async with await listen(client, topic, ticket="", last_id=ids[1]) as other:
        assert numbers(await other.events(2)) == [0, 1]
    # Its position is still good, with a new ticket.
    async with await listen(client, topic, last_id=ids[0]) as stream:
        assert numbers(await stream.events(2)) == [0, 1]


async def test_a_credential_ends_with_its_token(client: Client, create_topic: CreateTopic) -> None:
    """Who comes again after the token's expiry needs a new one."""
    topic = create_topic()
    token = client.tokens.token(exp=int(time.time()) + 3)
    async with await listen(client, topic, ticket=await client.get_ticket(token=token)) as stream:
        last_id = await stream.told()
        async with await listen(client, topic, ticket="", last_id=last_id) as again:
            assert again.status == 200
        async with asyncio.timeout(30):
            while True:
                async with await listen(client, topic, ticket="", last_id=last_id) as again:
                    if again.status != 200:
                        break
                await asyncio.sleep(0.2)
        assert (again.status, await again.error()) == (401, INVALID)


async def test_a_credential_is_for_its_topic_and_tenant(client: Client, create_topic: CreateTopic) -> None:
    """It opens neither another topic of its tenant nor one of another's."""
    topic = create_topic()
    async with await listen(client, topic) as stream:
        last_id = await stream.told()
    for other in (create_topic(), create_topic("other")):
        assert await refusal(await listen(client, other, ticket="", last_id=last_id)) == (401, INVALID)


async def test_a_query_over_history(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`from` and `until` end with a close event of 1000; cut off, the rest comes; then 204 keeps browsers away."""
    topic = create_topic(partitions=2)
    for number in range(40):
        records.write(topic, b'{"n":%d}' % number, partition=number % 2)
    query = {"from_": "earliest", "until": "latest", "where": "n=lt:30;"}
    async with await listen(client, topic, **query) as stream:
        some = await stream.events(7)
    await asyncio.to_thread(records.write_all, topic, numbered(0, 5))
    async with await listen(client, topic, ticket="", last_id=some[-1].id, **query) as again:
        rest = await again.rest()
    assert sorted(numbers(some + rest)) == list(range(30))
    assert (rest[-1].type, rest[-1].value) == ("close", {"code": 1000, "reason": ""})
    async with await listen(client, topic, ticket="", last_id=again.last_id, **query) as once_more:
        assert (once_more.status, await once_more.body()) == (204, b"")


async def test_retention(client: Client, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster) -> None:
    """A last id whose records are gone is 410 with what is left, or goes on behind a gap event."""
    topic = create_topic()
    async with await listen(client, topic) as stream:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 10))
        seen = await stream.events(4)
    kafka.delete_records(topic, before=7)
    gone = (410, {"message": "partition 0: offset 4 is gone, first offset is 7", "code": 4410})
    assert await refusal(await listen(client, topic, ticket="", last_id=seen[3].id)) == gone
    async with await listen(client, topic, ticket="", last_id=seen[3].id, on_gap="continue") as again:
        gap, *rest = await again.events(4)
    assert (gap.type, gap.value["gap"]) == ("gap", {"partition": 0, "from": 4, "to": 7})
    assert numbers(rest) == [7, 8, 9]


async def test_http_1_0(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Clients that know no chunks get the same."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 3))
    async with await listen(client, topic, version="1.0", from_="earliest", until="latest") as stream:
        assert "transfer-encoding" not in stream.headers
        assert numbers(await stream.rest()) == [0, 1, 2]


async def test_a_slow_client(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A client that reads nothing for a while gets all of a long history, live records too, each once."""
    topic = create_topic()
    padding = "x" * 1000
    history = [json.dumps({"n": number, "padding": padding}).encode() for number in range(20_000)]
    await asyncio.to_thread(records.write_all, topic, history)
    async with await listen(client, topic, from_="earliest") as stream:
        await asyncio.sleep(1)
        await asyncio.to_thread(records.write_all, topic, numbered(20_000, 100))
        assert numbers(await stream.events(20_100)) == list(range(20_100))


class Reader:
    """A client as a browser is one: one URL, comes again by itself, at whichever edge is next, with its last id.

    :param stack: the system.
    :param topic: its topic; the edges take turns.
    :param total: how many records there will be, as soon as that is known.
    """

    def __init__(self, stack: Stack, topic: str, total: asyncio.Future[int]) -> None:
        self.stack = stack
        self.topic = topic
        self.total = total
        self.ticket = ""
        self.last_id = ""
        self.events: list[Event] = []
        self.connections = 0
        self.opened = asyncio.Event()

    @property
    def has_all(self) -> bool:
        """Whether it has as many records as there are."""
        return self.total.done() and len(self.events) >= self.total.result()

    async def read(self) -> None:
        """Read until there is no more."""
        self.ticket = await self.stack.client().get_ticket()
        while not self.has_all:
            client = self.stack.client(1 + self.connections % 2)
            try:
                stream = await listen(client, self.topic, ticket=self.ticket, last_id=self.last_id)
            except (OSError, asyncio.IncompleteReadError):
                self.connections += 1
                await asyncio.sleep(0.05)
                continue
            self.connections += 1
            async with stream:
                assert stream.status in (200, 503), await stream.error()
                try:
                    while stream.status == 200 and not self.has_all:
                        self.last_id = await stream.told() if not self.last_id else self.last_id
                        self.opened.set()
                        event = await stream.event()
                        if event.type == "message":
                            self.events.append(event)
                except (EOFError, ConnectionError):
                    pass
                finally:
                    self.last_id = stream.last_id or self.last_id
            # Not all the time while neither can serve.
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("ending", ["kill", "stop_one"])
async def test_an_edge_goes(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, ending: str
) -> None:
    """When an edge dies or drains under load its clients go on at the other one, and back: every record once."""
    stack = await asyncio.to_thread(make_stack, edges=2)
    topic = create_topic(partitions=3)
    total: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    readers = [Reader(stack, topic, total) for _ in range(5)]
    is_disturbed = asyncio.Event()

    async def produce() -> None:
        for reader in readers:
            await reader.opened.wait()
        for first in itertools.count(0, 30):
            if is_disturbed.is_set():
                total.set_result(first + 30)
            partition = first // 30 % 3
            await asyncio.to_thread(records.write_all, topic, numbered(first, 30), partition=partition)
            if total.done():
                break

    async def disturb() -> None:
        for reader in readers:
            await reader.opened.wait()
        for name in ("edge-1", "edge-2"):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(getattr(stack, ending), name)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(stack.start_one, name)
        is_disturbed.set()

    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(disturb())
        for reader in readers:
            tasks.create_task(reader.read())
    for reader in readers:
        found = numbers(reader.events)
        assert sorted(found) == list(range(total.result()))
        for partition in range(3):
            part = [number for number in found if number // 30 % 3 == partition]
            assert part == sorted(part), "out of order within a partition"
        assert reader.connections > 2, "it was never cut off"


async def test_a_topic_that_is_created_again(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """An id of a topic that was deleted does not go on in a new one of that name, nor does an open stream."""
    kafka = await asyncio.to_thread(start_kafka)
    settings = {"KAFKA_WS_FILTER_METADATA_INTERVAL_SEC": "0.5"}
    stack = await asyncio.to_thread(make_stack, bootstrap=kafka.bootstrap, settings=settings)
    client, records = stack.client(), RecordWriter(kafka.bootstrap)
    topic = await asyncio.to_thread(kafka.create_topic, "admin.again")
    async with await listen(client, topic) as stream:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 3))
        last = (await stream.events(3))[-1]
        await asyncio.to_thread(kafka.delete_topic, topic)
        await asyncio.to_thread(kafka.create_topic, topic)
        assert (await stream.closed())["code"] == 4410
    await asyncio.to_thread(records.write_all, topic, numbered(0, 10))
    status, error = await refusal(await listen(client, topic, ticket="", last_id=last.id))
    assert (status, error["code"]) == (410, 4410)


async def test_secrets_are_not_logged(make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter) -> None:
    """No log of any tier has ticket, token, credential or query, at debug level, malformed requests and
    outages included.
    """
    stack = await asyncio.to_thread(make_stack, settings={"KAFKA_WS_LOG_LEVEL": "debug"})
    client, topic = stack.client(), create_topic()
    token, ticket = client.tokens.token(), await client.get_ticket()
    async with await listen(client, topic, ticket=ticket, where="hush=nin:quiet;") as stream:
        await asyncio.to_thread(records.write_all, topic, numbered(0, 1))
        last_id = (await stream.event()).id
    position, credential = last_id.split(".")
    for last in (last_id, f"{last_id}.{position}", f"{position}x.{credential}", f"{last_id}\x01"):
        try:
            async with await listen(client, topic, ticket=ticket, last_id=last, where="hush=quiet") as stream:
                assert stream.status in (200, 204, 400)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
    async with await listen(client, topic, token=token, last_id=last_id) as stream:
        assert stream.status == 200
    await asyncio.to_thread(stack.kill, TICKET)
    async with await listen(client, topic, ticket=ticket) as stream:
        assert stream.status == 503
    async with await listen(client, topic, ticket=ticket, last_id=last_id) as stream:
        assert (await stream.closed())["code"] == 4503
    await asyncio.to_thread(stack.stop)
    logs = {name: service.process.log() for name, service in stack.services.items()}
    assert "Invalid header value" in logs["edge-1"], "the malformed request was not logged at all"
    for name, log in logs.items():
        assert log
        for secret in (token, ticket, credential, "hush"):
            assert secret not in log, name
