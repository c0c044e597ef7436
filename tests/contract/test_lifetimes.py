"""Behaviour, section 9: how long tickets and connections live, through the real tiers."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import CreateTopic
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.redis_server import RedisAddress
from tests.stack.client import Client, CloseEvent
from tests.stack.stack import Stack

EXPIRED = CloseEvent(4408, "Connection lifetime")


@pytest.fixture(scope="module")
def short_lived(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster, redis_address: RedisAddress
) -> Iterator[Stack]:
    """A system whose tickets live for two seconds, to which edges with other limits are added."""
    settings = {"KAFKA_WS_TICKET_EXPIRATION_SEC": "2"}
    with Stack(tmp_path_factory.mktemp("short-lived"), kafka.bootstrap, redis_address, settings=settings) as stack:
        yield stack


async def edge(stack: Stack, max_life_sec: str, jwt_exp: bool) -> Client:
    """A client of a new edge with these limits."""
    stack.tier_settings["edge"].update(
        KAFKA_WS_SERVER_CONNECTION_MAX_LIFE_TIME=max_life_sec, KAFKA_WS_SERVER_JWT_EXP_TIME=str(jwt_exp).lower()
    )
    name = await asyncio.to_thread(stack.add_edge)
    return stack.client(int(name.removeprefix("edge-")))


async def test_unused_ticket_expires(short_lived: Stack) -> None:
    """After its time a ticket is gone."""
    client = short_lived.client()
    ticket = await client.get_ticket()
    await asyncio.sleep(2.5)
    with pytest.raises(InvalidStatus) as refusal:
        await client.connect("admin.t", ticket=ticket)
    assert refusal.value.response.status_code == 401


async def test_maximum(short_lived: Stack) -> None:
    """4408 the configured time after connecting, not before."""
    client = await edge(short_lived, "1", False)
    began = time.monotonic()
    async with await client.connect("admin.t") as socket:
        assert await socket.closed() == EXPIRED
        assert time.monotonic() - began >= 1


async def test_later_of_both(short_lived: Stack) -> None:
    """With both limits the later one counts, whichever it is."""
    client = await edge(short_lived, "1", True)
    expires = int(time.time()) + 4
    async with await client.connect("admin.t", token=client.tokens.token(exp=expires)) as socket:
        assert await socket.closed() == EXPIRED
        assert time.time() >= expires
    client = await edge(short_lived, "5", True)
    began = time.monotonic()
    async with await client.connect("admin.t", token=client.tokens.token(exp=int(time.time()) + 3)) as socket:
        assert await socket.closed() == EXPIRED
        assert time.monotonic() - began >= 5


@pytest.mark.parametrize("off", ["0", "-1"])
async def test_token_alone(short_lived: Stack, off: str) -> None:
    """Without a maximum the token's expiry counts alone."""
    client = await edge(short_lived, off, True)
    expires = int(time.time()) + 3
    async with await client.connect("admin.t", token=client.tokens.token(exp=expires)) as socket:
        assert await socket.closed() == EXPIRED
        assert time.time() >= expires


async def test_token_that_expires_before_its_ticket_is_used(short_lived: Stack) -> None:
    """A ticket is never good for longer than its token: no connection begins with one that has expired."""
    client = await edge(short_lived, "-1", True)
    expires = int(time.time()) + 1
    ticket = await client.get_ticket(token=client.tokens.token(exp=expires))
    await asyncio.sleep(expires + 0.1 - time.time())
    with pytest.raises(InvalidStatus) as refusal:
        await client.connect("admin.t", ticket=ticket)
    assert refusal.value.response.status_code == 401


async def test_no_limit(short_lived: Stack, create_topic: CreateTopic, records: RecordWriter) -> None:
    """With both off a connection outlives its token."""
    client = await edge(short_lived, "0", False)
    name = create_topic()
    expires = int(time.time()) + 3
    async with await client.connect(name, token=client.tokens.token(exp=expires)) as socket:
        await asyncio.sleep(expires + 0.5 - time.time())
        await asyncio.to_thread(records.write, name, b'{"a":1}')
        assert await socket.value() == {"a": 1}
