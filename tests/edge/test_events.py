"""Server-sent events between scripted parts: what is sent, and that whoever comes again misses nothing."""

import asyncio
import re
from typing import Any

import pytest
from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.position_token import TokenPosition
from tests.edge.conftest import MakeSystem, System, eventually
from tests.edge.event_stream import EventStream
from tests.edge.listening import CLOSED, credential_of, ends, listen, numbered, numbers, position_of, write


@pytest.fixture
async def system(make_system: MakeSystem) -> System:
    """An edge with one replica that tells positions often."""
    return await make_system(server_position_interval_sec=0.1)


# ------------------------------------------------------------------------------------------------------- what is sent


async def test_records_are_events(system: System) -> None:
    """Each record is one event with its JSON and an id of position and credential."""
    async with await listen(system) as stream:
        write(system, numbered(50))
        events = await stream.events(50)
    assert [event.value for event in events] == [{"n": number} for number in range(50)]
    assert {event.type for event in events} == {"message"}
    credentials = {credential_of(event.id) for event in events}
    assert credentials <= set(system.tickets.resumable)
    assert len(credentials) == 1
    assert [position_of(event) for event in events] == [TokenPosition({0: offset}) for offset in range(1, 51)]


async def test_records_in_envelopes(system: System) -> None:
    """`format=record` has key, headers and the rest in the data, and the same position there as in the id."""
    system.logs.topic_ids["admin.t"] = b"i" * 16
    headers = [filter_pb2.Header(key="trace", value=b"1"), filter_pb2.Header(key="bytes", value=b"\xff")]
    system.logs.metadata = filter_pb2.RecordMetadata(key=b"k", headers=headers)
    async with await listen(system, format="record") as stream:
        write(system, [b'{\r\n  "n": 0\n}'])
        event = await stream.event()
    value = event.value
    assert value.pop("position") == event.id.partition(".")[0]
    assert position_of(event) == TokenPosition({0: 1}, b"i" * 16)
    assert value == {
        "topic": "admin.t",
        "partition": 0,
        "offset": 0,
        "timestamp": 0,
        "key": "k",
        "headers": [{"key": "trace", "value": "1"}, {"key": "bytes", "value": {"base64": "/w=="}}],
        "value": {"n": 0},
    }


async def test_equal_requests_share_a_subscription(system: System) -> None:
    """Streams that ask for the same hang on one upstream subscription, each with a credential of its own."""
    streams = [await listen(system) for _ in range(3)]
    write(system, numbered(1))
    ids = [(await stream.event()).id for stream in streams]
    assert len({each.partition(".")[0] for each in ids}) == 1
    assert len({credential_of(each) for each in ids}) == 3
    assert len(system.replicas[0].opens) == 1
    for stream in streams:
        stream.close()
    await eventually(lambda: system.open_count == 0 and system.edge.connection_count == 0, "nothing is held")


async def test_quiet_streams_move_their_id(system: System) -> None:
    """Where nothing passes the filter the id moves all the same, and resuming begins there."""
    async with await listen(system, where="nothing like this") as stream:
        first = await stream.told()
        write(system, numbered(100))
        while position_of(stream.last_id).next_offsets != {0: 100}:
            await stream.told(stream.last_id)
    assert position_of(first).next_offsets == {}
    async with await listen(system, ticket="", last_id=stream.last_id, where="nothing like this"):
        asked = system.replicas[0].opens[-1].subscription.start
    assert dict(asked.position.next_offsets) == {0: 100}


async def test_http_1_0(system: System) -> None:
    """A client that knows no chunks gets the same events, up to the end of the connection."""
    write(system, numbered(5))
    async with await listen(system, version="1.0", from_="earliest", until="latest") as stream:
        assert "transfer-encoding" not in stream.headers
        assert stream.headers["connection"] == "close"
        assert await numbers(stream, 5) == list(range(5))
        assert ends(await stream.rest()) == [CLOSED]
    assert re.match(rb"retry: \d+\n\nid: ", stream.raw)


# ---------------------------------------------------------------------------------------------------------- resuming


async def test_coming_again_from_any_event(system: System) -> None:
    """With the used ticket and any id, what follows that event comes, once, over all partitions."""
    ticket = system.ticket()
    for number in range(30):
        system.logs.write("admin.t", b'{"n":%d}' % number, number % 3)
    async with await listen(system, ticket=ticket, from_="earliest") as stream:
        events = await stream.events(30)
    for seen in (0, 1, 7, 15, 29):
        async with await listen(system, ticket=ticket, last_id=events[seen].id, from_="earliest") as again:
            rest = await again.values(29 - seen)
            before = [event.value for event in events[: seen + 1]]
            assert sorted(each["n"] for each in before + rest) == list(range(30))
            system.logs.write("admin.t", b'{"n":"new"}', 1)
            assert await again.values(1) == [{"n": "new"}]
        events = [*events[:30]]
        system.logs.records["admin.t"][1].pop()


async def test_coming_again_before_the_first_record(system: System) -> None:
    """Who is cut off before anything was sent has an id all the same, and gets what was written meanwhile."""
    write(system, numbered(3))
    ticket = system.ticket()
    async with await listen(system, ticket=ticket) as stream:
        last_id = await stream.told()
    assert stream.raw.count(b"id: ") == 1
    write(system, numbered(5, 3))
    async with await listen(system, ticket=ticket, last_id=last_id) as again:
        assert await numbers(again, 5) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(("start", "expected"), [("earliest", 0), ("2", 2)])
async def test_the_first_id_is_where_the_stream_begins(system: System, start: str, expected: int) -> None:
    """The first thing told is the start itself, before any record, so that none can be missed."""
    write(system, numbered(20))
    async with await listen(system, from_=start) as stream:
        await stream.event()
    first_id = stream.raw.partition(b"id: ")[2].partition(b"\n")[0].decode()
    assert position_of(first_id).next_offsets == {0: expected}
    assert stream.raw.partition(first_id.encode())[2].startswith(b"\n\nid: ")
    async with await listen(system, ticket="", last_id=first_id) as again:
        assert await numbers(again, 20 - expected) == list(range(expected, 20))


@pytest.mark.parametrize("late", [0, 1])
async def test_every_id_has_every_partition(make_system: MakeSystem, late: int) -> None:
    """Also when partitions are spread over replicas of which one opens late: one that lacks would mean offset 0."""
    system = await make_system(replicas=2)
    for partition in range(6):
        write(system, numbered(10), partition=partition)
    async with await listen(system, from_="5") as other:  # teaches the edge how many partitions there are
        await other.events(30)
        await eventually(lambda: system.open_count == 2, "the partitions are spread")
        asked = sum(len(replica.opens) for replica in system.replicas)
        system.replicas[late].answers.clear()
        opening = asyncio.create_task(listen(system, from_="5"))
        await eventually(lambda: sum(len(replica.opens) for replica in system.replicas) > asked, "replicas are asked")
        await asyncio.sleep(0.1)
        system.replicas[late].answers.set()
        stream = await opening
        events = await stream.events(30)
        await eventually(lambda: system.open_count == 2, "the partitions are spread again")
        write(system, numbered(1, 10), partition=3)
        events.append(await stream.event())
        stream.close()
    for event in events:
        assert position_of(event).next_offsets.keys() == set(range(6))
        assert min(position_of(event).next_offsets.values()) >= 5
    assert sorted(event.value["n"] for event in events) == sorted([*range(5, 10)] * 6 + [10])


async def test_a_new_topic_is_resumed_from_its_first_record(system: System) -> None:
    """A topic that appears while a client is away is read from offset 0."""
    async with await listen(system, "admin.new") as stream:
        last_id = await stream.told()
    write(system, numbered(3), "admin.new")
    async with await listen(system, "admin.new", ticket="", last_id=last_id) as again:
        assert await numbers(again, 3) == [0, 1, 2]


# --------------------------------------------------------------------------------------------------------------- ends


async def until_latest(system: System, **more: Any) -> EventStream:
    return await listen(system, from_="earliest", until="latest", **more)


async def test_a_query_over_history_ends_once(system: System) -> None:
    """It ends with a close event; the browser, which comes again by itself, is told 204 and stays away."""
    for partition in range(2):
        write(system, numbered(10), partition=partition)
    async with await until_latest(system) as stream:
        write(system, numbered(5, 10))
        events = await stream.rest()
    assert ends(events) == [CLOSED]
    assert [event.value["n"] for event in events[:-1]] == [*range(10)] * 2
    async with await until_latest(system, ticket="", last_id=stream.last_id) as again:
        assert (again.status, await again.body()) == (204, b"")
    assert system.edge.connection_count == 0


async def test_a_query_over_history_is_resumed(system: System) -> None:
    """Whoever is cut off gets the rest of what `latest` has meant the first time, from every id, and then the end."""
    write(system, numbered(10))
    async with await until_latest(system) as stream:
        first = await stream.told()
        events = await stream.rest()
    write(system, numbered(10, 10))
    for seen, last_id in enumerate([first, *(event.id for event in events[:9])]):
        async with await until_latest(system, ticket="", last_id=last_id) as again:
            rest = await again.rest()
        assert [event.value["n"] for event in rest[:-1]] == list(range(seen, 10))
        assert ends(rest) == [CLOSED]


async def test_a_query_that_nothing_passes_ends_once(system: System) -> None:
    """Its last id lies behind everything it has looked through, though there was no record to carry it."""
    write(system, numbered(100))
    async with await until_latest(system, where="nothing like this") as stream:
        assert ends(await stream.rest()) == [CLOSED]
    assert position_of(stream.last_id).next_offsets == {0: 100}
    async with await until_latest(system, ticket="", last_id=stream.last_id, where="nothing like this") as again:
        assert again.status == 204


@pytest.mark.parametrize("topic", ["admin.t", "admin.missing"])
async def test_a_query_over_nothing_ends_at_once(system: System, topic: str) -> None:
    """An empty topic and one that does not exist have no history."""
    system.logs.records["admin.t"][0] = []
    async with await listen(system, topic, until="latest") as stream:
        assert [(event.type, event.value) for event in await stream.rest()] == [CLOSED]
    async with await listen(system, topic, ticket="", last_id=stream.last_id, until="latest") as again:
        assert again.status == 204


async def test_until_a_position(system: System) -> None:
    """A position of one stream is the end of another."""
    write(system, numbered(10))
    async with await listen(system, from_="earliest") as stream:
        events = await stream.events(10)
    async with await listen(system, from_="2", until=events[6].id.partition(".")[0]) as part:
        assert [event.value["n"] for event in (await part.rest())[:-1]] == [2, 3, 4, 5, 6]


async def test_going_on_behind_a_gap(system: System) -> None:
    """`on_gap=continue` tells what is gone in an event of its own, whose id lies behind it."""
    write(system, numbered(10))
    async with await listen(system, from_="earliest") as stream:
        seen = await stream.events(3)
    system.logs.first["admin.t"][0] = 7
    async with await listen(system, ticket="", last_id=seen[2].id, on_gap="continue") as again:
        gap, *records = await again.events(4)
    assert (gap.type, gap.value["gap"]) == ("gap", {"partition": 0, "from": 3, "to": 7})
    assert gap.id.partition(".")[0] == gap.value["position"]
    assert position_of(gap).next_offsets == {0: 7}
    assert [event.value["n"] for event in records] == [7, 8, 9]


async def test_an_open_stream_that_ends(system: System) -> None:
    """What the filter ends is told by a close event with code and reason, and counted."""
    closes = metrics.CLOSES.labels(4410)._value
    before = closes.get()
    streams = [await listen(system) for _ in range(2)]
    system.replicas[0].end(filter_pb2.REJECTION_CODE_POSITION_GONE, "partition 0 begins at offset 7")
    for stream in streams:
        assert await stream.closed() == {"code": 4410, "reason": "partition 0 begins at offset 7"}
    assert closes.get() == before + 2


async def test_no_replica_for_too_long(make_system: MakeSystem) -> None:
    """Streams that nobody can serve within the configured time end with 4503."""
    system = await make_system(server_unavailable_timeout_sec=0.5)
    async with await listen(system) as stream:
        await system.replicas[0].kill()
        assert await stream.closed() == {"code": 4503, "reason": "Server unavailable at this moment"}


async def test_a_killed_replica_is_replaced(make_system: MakeSystem) -> None:
    """When the replica that serves a stream dies, another continues: nothing is lost, nothing comes twice."""
    system = await make_system(replicas=3, batch=3)
    async with await listen(system) as stream:
        for first in (0, 200):
            write(system, numbered(200, first))
            await system.holder().kill()
            assert await numbers(stream, 200) == list(range(first, first + 200))


async def test_lifetimes(make_system: MakeSystem) -> None:
    """A stream ends with 4408 when its time is over; who may still come, comes again."""
    system = await make_system(server_connection_max_life_time=0.3)
    async with await listen(system) as stream:
        assert await stream.closed() == {"code": 4408, "reason": "Connection lifetime"}
    write(system, numbered(2))
    async with await listen(system, ticket="", last_id=stream.last_id) as again:
        assert await numbers(again, 2) == [0, 1]


async def test_shutdown(make_system: MakeSystem) -> None:
    """When the edge ends, streams are told 1001, those that are just being opened too."""
    system = await make_system()
    streams = [await listen(system) for _ in range(3)]
    system.replicas[0].answers.clear()
    opening = asyncio.create_task(listen(system, where="another"))
    await eventually(lambda: len(system.replicas[0].opens) == 2, "one more is being opened")
    drain = asyncio.create_task(system.edge.drain(5.0))
    for stream in streams:
        assert (await stream.closed())["code"] == 1001
    system.replicas[0].answers.set()
    late = await opening
    assert (await late.closed())["code"] == 1001
    assert late.last_id
    await drain
    assert system.edge.connection_count == 0
