"""Behaviour, section 8: every close code with its reason, through the real tiers."""

import asyncio

import pytest

from tests.conftest import MakeStack, StartKafka
from tests.stack.client import Client, CloseEvent


@pytest.mark.parametrize(
    ("where", "close"),
    [
        ("a=1", CloseEvent(4000, "invalid syntax")),
        ("a=itn:1;", CloseEvent(4001, "invalid operator 'itn'")),
        ('a=in:"\\x";', CloseEvent(4002, "invalid escape value \\x")),
        ("a=gt:1,2;", CloseEvent(4003, "invalid arity 2 for 'gt'")),
        ("a=gt:warm;", CloseEvent(4004, "invalid value warm for operator 'gt'")),
    ],
)
async def test_errors_of_the_query(client: Client, where: str, close: CloseEvent) -> None:
    """4000 to 4004: after the handshake, with the reason in the documented words."""
    async with await client.connect("admin.t", where=where) as socket:
        assert await socket.closed() == close


@pytest.mark.parametrize("fields", ["a(", "a)", ",a", "a,", "a/", "/a", "a()", "a//b"])
async def test_malformed_fields(client: Client, fields: str) -> None:
    """4000 for a projection as well."""
    async with await client.connect("admin.t", fields=fields) as socket:
        assert await socket.closed() == CloseEvent(4000, "invalid syntax")


async def test_forbidden_topic(client: Client) -> None:
    """4403."""
    async with await client.connect("other.t", tenant="admin") as socket:
        assert await socket.closed() == CloseEvent(4403, "Tenant can't access this topic")


@pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
async def test_long_reasons(client: Client, character: str) -> None:
    """A reason is cut at 123 bytes between characters, in a close frame that every client understands."""
    full = "invalid value " + character * 200
    expected = full.encode()[:123].decode(errors="ignore")
    async with await client.connect("admin.t", where=f"a=gt:{character * 200};") as socket:
        assert await socket.closed() == CloseEvent(4004, expected)


async def test_kafka_away(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """4503 for sockets that are open when Kafka goes and does not come back; 503 for those that come."""
    kafka = await asyncio.to_thread(start_kafka)
    stack = await asyncio.to_thread(
        make_stack, bootstrap=kafka.bootstrap, settings={"KAFKA_WS_SERVER_UNAVAILABLE_TIMEOUT_SEC": "1"}
    )
    client = stack.client()
    async with await client.connect("admin.t") as socket:
        await asyncio.to_thread(kafka.stop)
        assert await socket.closed(60) == CloseEvent(4503, "Server unavailable at this moment")
    response = await client.request("/readyz")
    assert response.status == 503
    assert response.json()["dependencies"] == {"filter_service": "unavailable", "ticket_service": "ready"}


async def test_filter_away(make_stack: MakeStack) -> None:
    """4503 as well when no filter replica is left."""
    stack = await asyncio.to_thread(make_stack, settings={"KAFKA_WS_SERVER_UNAVAILABLE_TIMEOUT_SEC": "1"})
    async with await stack.client().connect("admin.t") as socket:
        await asyncio.to_thread(stack.kill, "filter-1")
        assert await socket.closed() == CloseEvent(4503, "Server unavailable at this moment")


async def test_edge_stops(make_stack: MakeStack) -> None:
    """1001 when the edge is stopped."""
    stack = await asyncio.to_thread(make_stack)
    async with await stack.client().connect("admin.t") as socket:
        await asyncio.gather(
            asyncio.to_thread(stack.stop_one, "edge-1"), close := asyncio.ensure_future(socket.closed())
        )
        assert close.result().code == 1001
    assert stack.process("edge-1").exit_code == 0
