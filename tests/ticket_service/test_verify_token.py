"""Verifying tokens without a ticket, over real gRPC, by the real service."""

import pytest
from redis.asyncio import Redis

from tests.processes import free_port
from tests.redis_server import RedisAddress
from tests.ticket_service.conftest import Connect, StartService
from tests.ticket_service.issuer import SECRET, KeySetServer, claims, hmac_token, published, signed_token
from tests.ticket_service.service import Client
from tests.ticket_service.test_tickets import BAD_AUTHORIZATIONS


@pytest.fixture
async def client(service: str, connect: Connect) -> Client:
    """A client of the module's service."""
    return connect(service)


async def test_a_good_token_is_its_own_grant(client: Client) -> None:
    """The grant says tenant and expiry of the token, as often as it is asked for."""
    payload = claims(service="someone")
    authorization = f"Bearer {hmac_token(payload)}"
    for _ in range(3):
        verified = await client.verify(authorization)
        assert (verified.grant.tenant, verified.grant.token_expires_at_ms) == ("someone", payload["exp"] * 1000)
        assert verified.resume_credential == ""


@BAD_AUTHORIZATIONS
async def test_bad_authorizations(client: Client, authorization: str, message: str) -> None:
    """What gets no ticket is not verified either, in the same words, with a topic to resume and without."""
    for resume_topic in ("", "admin.t"):
        assert await client.verify_outcome(authorization, resume_topic) == ("UNAUTHENTICATED", message)


async def test_nothing_is_stored(redis_address: RedisAddress, client: Client) -> None:
    """Who does not ask to resume leaves nothing in Redis."""
    async with Redis.from_url(redis_address.url) as redis:
        before = {key async for key in redis.scan_iter("kafka-ws:[tr]*")}
        await client.verify(f"Bearer {hmac_token()}")
        assert {key async for key in redis.scan_iter("kafka-ws:[tr]*")} <= before


async def test_redis_is_needed_only_to_resume(start_service: StartService, connect: Connect) -> None:
    """While Redis is away a token is still verified; a resume credential cannot be had."""
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_REDIS_PORT": str(free_port())})
    client = connect(address)
    authorization = f"Bearer {hmac_token()}"
    assert await client.verify_outcome(authorization) == ("OK", "admin")
    store_away = ("UNAVAILABLE", "The ticket store cannot be reached at this moment.")
    assert await client.verify_outcome(authorization, "admin.t") == store_away


async def test_without_keys_nothing_can_be_said(
    redis_address: RedisAddress, start_service: StartService, connect: Connect, key_set_server: KeySetServer
) -> None:
    """Until the key set is there, the answer is unavailable, not invalid."""
    key_set_server.status = 500
    settings = {"KAFKA_WS_TOKEN_JWKS_URL": key_set_server.url, "KAFKA_WS_TICKET_GRANT_SECRET": "g" * 32}
    _, address = start_service({**settings, **redis_address.settings()})
    client = connect(address)
    authorization = f"Bearer {signed_token('rsa', 'RS256', key_id='k')}"
    keys_away = ("UNAVAILABLE", "The keys to verify tokens with cannot be had at this moment.")
    assert await client.verify_outcome(authorization) == keys_away
    key_set_server.publish([published("rsa", "k")])
    key_set_server.status = 200
    assert await client.verify_outcome(authorization) == ("OK", "admin")
