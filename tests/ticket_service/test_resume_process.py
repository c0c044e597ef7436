"""Resuming while parts come and go: outages of Redis, replicas, metrics; and that redaction knows the new secrets."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Callable

import pytest
from kafka_ws.ticket.v1 import ticket_pb2
from redis.asyncio import Redis

from runtime.redaction import names_a_secret
from tests.conftest import StartRedis
from tests.processes import free_port
from tests.redis_server import RedisAddress
from tests.ticket_service.conftest import Connect, StartService
from tests.ticket_service.issuer import SECRET, hmac_token

STORE_AWAY = ("UNAVAILABLE", "The ticket store cannot be reached at this moment.")
INVALID = ("UNAUTHENTICATED", "Invalid ticket")


@pytest.fixture
async def losing_redis(redis_address: RedisAddress) -> AsyncIterator[tuple[RedisAddress, Callable[[bytes], None]]]:
    """A way to Redis that breaks, once, instead of passing on a command that holds the text it is told to lose."""
    to_lose: list[bytes] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(*redis_address)
        while request := await reader.read(65536):
            if to_lose and to_lose[0] in request:
                to_lose.clear()
                break
            redis_writer.write(request)
            writer.write(await redis_reader.read(65536))
        writer.close()
        redis_writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    yield RedisAddress("127.0.0.1", server.sockets[0].getsockname()[1]), to_lose.append
    server.close()


async def test_redis_away_and_back(start_redis: StartRedis, start_service: StartService, connect: Connect) -> None:
    """While Redis is away resuming says UNAVAILABLE, not Invalid ticket; afterwards the credential works as before."""
    redis = start_redis()
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    credential = (await client.verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    redis.stop()
    await client.wait_health(False)
    assert await client.resume_outcome(credential, "admin.t") == STORE_AWAY
    assert await client.resume_outcome("malformed", "admin.t") == INVALID
    redis.start()
    await client.wait_health(True)
    assert await client.resume_outcome(credential, "admin.t") == ("OK", "admin")


async def test_redis_away_before_a_redeem(
    start_redis: StartRedis, start_service: StartService, connect: Connect
) -> None:
    """A ticket that could not be taken out is still good, with its credential, when Redis is back."""
    redis = start_redis()
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    redis.stop()
    assert await client.redeem_outcome(ticket, "admin.t") == STORE_AWAY
    redis.start()
    await client.wait_health(True)
    credential = (await client.redeem_with(ticket, "admin.t")).resume_credential
    assert await client.resume_outcome(credential, "admin.t") == ("OK", "admin")


async def test_redis_lost_between_ticket_and_credential(
    losing_redis: tuple[RedisAddress, Callable[[bytes], None]], start_service: StartService, connect: Connect
) -> None:
    """When the credential cannot be stored, a redeem is UNAVAILABLE, and the ticket, not taken out yet, still good."""
    address_of_redis, lose = losing_redis
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **address_of_redis.settings()})
    client = connect(address)
    await client.wait_health(True)
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    lose(b"kafka-ws:resume:")
    assert await client.redeem_outcome(ticket, "admin.t") == STORE_AWAY
    credential = (await client.redeem_with(ticket, "admin.t")).resume_credential
    assert await client.resume_outcome(credential, "admin.t") == ("OK", "admin")
    assert await client.redeem_outcome(ticket, "admin.t") == INVALID


async def test_redis_that_has_forgotten(start_redis: StartRedis, start_service: StartService, connect: Connect) -> None:
    """A Redis that lost its keys in a crash admits nobody again: new tokens and tickets are needed."""
    redis = start_redis()
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    credential = (await client.verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    redis.kill()
    await client.wait_health(False)
    redis.start()
    await client.wait_health(True)
    assert await client.resume_outcome(credential, "admin.t") == INVALID


async def test_another_replica_resumes(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """Replicas share nothing but Redis and the secret: a credential outlives the one that issued it."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    (first, first_address), (_, other_address) = start_service(settings), start_service(settings)
    credential = (await connect(first_address).verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    first.stop()
    assert await connect(other_address).resume_outcome(credential, "admin.t") == ("OK", "admin")


async def test_a_replica_with_another_secret_does_not_believe(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """Only the secret makes entries believable; a change of it revokes every credential."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    _, address = start_service(settings)
    other, other_address = start_service({**settings, "KAFKA_WS_TICKET_GRANT_SECRET": "g" * 32})
    credential = (await connect(address).verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    assert await connect(other_address).resume_outcome(credential, "admin.t") == INVALID
    assert '"event": "stored grant is forged"' in other.log()


async def test_prefixes_separate(redis_address: RedisAddress, start_service: StartService, connect: Connect) -> None:
    """Two systems in one Redis, with one secret even, do not admit each other's clients."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    _, address = start_service(settings)
    _, other_address = start_service({**settings, "KAFKA_WS_REDIS_KEY_PREFIX": "other:"})
    credential = (await connect(other_address).verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    assert await connect(address).resume_outcome(credential, "admin.t") == INVALID
    async with Redis.from_url(redis_address.url) as redis:
        assert len([key async for key in redis.scan_iter("other:resume:*")]) == 1


async def test_the_new_calls_are_counted(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """Operators see verifications, resumptions and refusals, and how many credentials were issued."""
    port = free_port()
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_METRICS_PORT": str(port)}
    _, address = start_service({**settings, **redis_address.settings()})
    client = connect(address)
    credential = (await client.verify(f"Bearer {hmac_token()}", "admin.t")).resume_credential
    await client.verify_outcome("")
    await client.verify_outcome("Bearer x")
    await client.resume_outcome(credential, "admin.t")
    await client.resume_outcome(credential, "admin.t")
    await client.resume_outcome(credential, "admin.other")
    with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics") as response:
        shown = response.read().decode().splitlines()
    assert {
        'kafka_ws_ticket_calls_total{outcome="ok",rpc="verify"} 1.0',
        'kafka_ws_ticket_calls_total{outcome="missing",rpc="verify"} 1.0',
        'kafka_ws_ticket_calls_total{outcome="invalid",rpc="verify"} 1.0',
        'kafka_ws_ticket_calls_total{outcome="ok",rpc="resume"} 2.0',
        'kafka_ws_ticket_calls_total{outcome="invalid",rpc="resume"} 1.0',
        'kafka_ws_ticket_call_seconds_count{rpc="verify"} 3.0',
        'kafka_ws_ticket_call_seconds_count{rpc="resume"} 3.0',
        "kafka_ws_ticket_resume_credentials_total 1.0",
    } <= set(shown)


def test_redaction_knows_every_secret_field_of_the_contract() -> None:
    """A field of a request or an answer that is logged under its name is blanked, unless it is meant to be read."""
    public = {"tenant", "topic", "resume_topic", "message"}
    messages = ticket_pb2.DESCRIPTOR.message_types_by_name.values()
    texts = {field.name for message in messages for field in message.fields if field.type == field.TYPE_STRING}
    assert {name for name in texts if not names_a_secret(name)} == public
