"""Behaviour, section 3: which topics a tenant may read, through the real tiers."""

import asyncio

import pytest

from tests.conftest import CreateTopic
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent

FORBIDDEN = CloseEvent(4403, "Tenant can't access this topic")


@pytest.mark.parametrize(
    ("tenant", "topic"),
    [
        ("a", "A.x"),
        ("A", "a.x"),
        ("a", "a"),
        ("a", "ab.x"),
        ("a", "b.x"),
        ("a", ".a.x"),
        ("a", " a.x"),
        ("admin", "Admin.x"),
        ("a", "x.a.b"),
    ],
)
async def test_forbidden(client: Client, tenant: str, topic: str) -> None:
    """Only topics that begin with the tenant and a dot, in the same case, may be read."""
    async with await client.connect(topic, tenant=tenant) as socket:
        assert await socket.closed() == FORBIDDEN


@pytest.mark.parametrize("topic", ["a.x", "a.", "a.b.c", "a..x"])
async def test_allowed(client: Client, topic: str) -> None:
    """Topics of the tenant may be read, before they exist as well: the socket stays open."""
    async with await client.connect(topic, tenant="a") as socket:
        await asyncio.wait_for(await socket.connection.ping(), 30)


async def test_tenants_see_their_own(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Two tenants with like names get the records of their own topics only."""
    mine, theirs = create_topic("alpha"), create_topic("alphabet")
    async with await client.connect(mine) as first, await client.connect(theirs) as second:
        await asyncio.to_thread(records.write, mine, b'{"for":"alpha"}')
        await asyncio.to_thread(records.write, theirs, b'{"for":"alphabet"}')
        assert await first.value() == {"for": "alpha"}
        assert await second.value() == {"for": "alphabet"}


@pytest.mark.parametrize("tenant", [5, {"name": "a"}, ["a"], True, None, ""])
async def test_tenants_that_are_no_text(client: Client, tenant: object) -> None:
    """They never get as far as a ticket."""
    token = client.tokens.token(claims={"service": tenant})
    assert (await client.request_ticket(f"Bearer {token}")).status == 401


async def test_tenant_with_a_dot(client: Client) -> None:
    """Tenant `a.b`, which would share its topics with `a`, does not get a ticket."""
    assert (await client.request_ticket(f"Bearer {client.tokens.token('a.b')}")).status == 401


@pytest.mark.parametrize("query", ["where=bad", "where=a=1;&where=a=1;", "fields=a("])
async def test_precedence(client: Client, query: str) -> None:
    """4403 comes before errors of the query."""
    async with await client.connect("other.x", tenant="a", query=query) as socket:
        assert await socket.closed() == FORBIDDEN
