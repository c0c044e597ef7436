"""The real processes of all tiers, started by the fixtures: they work together, and one by one can go and return."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import CreateTopic, MakeStack
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent
from tests.stack.stack import TICKET, Stack


async def test_a_record_reaches_a_client(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Token, ticket, WebSocket, filter and projection work from end to end."""
    topic = create_topic()
    async with await client.connect(topic, where="temperature=gte:30;", fields="temperature") as socket:
        await asyncio.to_thread(
            records.write_all, topic, [b'{"temperature":29}', b'{"temperature":30,"unit":"C"}', b"no JSON"]
        )
        assert await socket.value() == {"temperature": 30}


async def test_a_refused_upgrade_has_an_answer(client: Client) -> None:
    """What the edge answers instead of an upgrade can be looked at."""
    with pytest.raises(InvalidStatus) as refusal:
        await client.connect("admin.any", ticket="0" * 64)
    assert refusal.value.response.status_code == 401


async def test_how_a_socket_was_closed_can_be_told(client: Client) -> None:
    """Code and reason of a close are told as the server sent them."""
    async with await client.connect("other.topic", tenant="admin") as socket:
        assert await socket.closed() == CloseEvent(4403, "Tenant can't access this topic")
        with pytest.raises(ConnectionClosed):
            await socket.value()


async def test_raw_queries_are_sent_as_they_are(client: Client, create_topic: CreateTopic) -> None:
    """A query string that no library would write reaches the edge."""
    async with await client.connect(create_topic(), query="where=a=b;&where=c=d;") as socket:
        assert (await socket.closed()).code == 4000


def test_single_processes_can_go_and_return(make_stack: MakeStack) -> None:
    """An edge says that it is not ready while a tier is away, and recovers by itself."""
    stack = make_stack()
    for name in (TICKET, "filter-1"):
        stack.kill(name)
        stack.wait_until_ready("edge-1", ready=False)
        stack.start_one(name)
        stack.wait_until_ready("edge-1")
    assert stack.stop_one("edge-1") == 0
    stack.start_one("edge-1")


async def test_replicas_can_be_added(make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Filters and edges that are started later take part."""
    stack = await asyncio.to_thread(make_stack, spare_filters=1)
    assert await asyncio.to_thread(stack.add_filter) == "filter-2"
    assert await asyncio.to_thread(stack.add_edge) == "edge-2"
    await asyncio.to_thread(stack.kill, "filter-1")
    topic = create_topic()
    async with await stack.client(edge=2).connect(topic) as socket:
        await asyncio.to_thread(records.write, topic, b'{"a":1}')
        assert await socket.value() == {"a": 1}


def test_nothing_is_left_over(make_stack: MakeStack) -> None:
    """Stopping ends every process, those that are paused too, in good order."""
    stack: Stack = make_stack(edges=2)
    stack.pause("edge-2")
    stack.stop()
    codes = {name: stack.process(name).exit_code for name in (TICKET, "filter-1", "edge-1", "edge-2")}
    assert codes == {TICKET: 0, "filter-1": 0, "edge-1": 0, "edge-2": 0}
