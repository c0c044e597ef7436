"""Resume credentials over real gRPC, with a real Valkey: whom they admit again, to what, how long, and nobody else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.redis_server import RedisAddress
from tests.ticket_service.conftest import Connect, StartService
from tests.ticket_service.issuer import SECRET, claims, hmac_token
from tests.ticket_service.service import Client
from tests.ticket_service.test_store import settings
from ticket_service.claims import Claims
from ticket_service.errors import InvalidTicketError
from ticket_service.grant import Grant, Purpose, grant_key, seal
from ticket_service.resume_credential import ResumeCredentials, credential_digest, is_credential, new_credential
from ticket_service.sealed_grants import SealedGrants
from ticket_service.store import connect as connect_store
from ticket_service.ticket import new_ticket, ticket_digest

INVALID = ("UNAUTHENTICATED", "Invalid ticket")


@pytest.fixture
async def client(service: str, connect: Connect) -> Client:
    """A client of the module's service."""
    return connect(service)


@pytest.fixture
async def redis(redis_address: RedisAddress) -> AsyncIterator[Redis]:
    redis = Redis.from_url(redis_address.url)
    yield redis
    await redis.aclose()


def stored_name(credential: str) -> str:
    return f"kafka-ws:resume:{credential_digest(credential).hex()}"


async def stored_names(redis: Redis) -> set[str]:
    return {key.decode() async for key in redis.scan_iter("kafka-ws:resume:*")}


async def new_resume(client: Client, topic: str = "admin.t", **changes: object) -> str:
    """A credential, by a ticket of a token with these claims."""
    ticket = (await client.issue(f"Bearer {hmac_token(claims(**changes))}")).ticket
    credential = (await client.redeem_with(ticket, topic)).resume_credential
    assert is_credential(credential)
    return credential


async def test_a_redeemed_ticket_can_be_resumed(client: Client) -> None:
    """The credential of the first redeem stands for the same grant, when the ticket is used up."""
    payload = claims(service="someone")
    ticket = (await client.issue(f"Bearer {hmac_token(payload)}")).ticket
    redeemed = await client.redeem_with(ticket, "someone.t")
    assert await client.redeem_outcome(ticket) == INVALID
    assert await client.resume(redeemed.resume_credential, "someone.t") == redeemed.grant
    assert (redeemed.grant.tenant, redeemed.grant.token_expires_at_ms) == ("someone", payload["exp"] * 1000)


async def test_a_verified_token_can_be_resumed(client: Client) -> None:
    """A client that came with its token instead of a ticket gets a credential of the same worth."""
    verified = await client.verify(f"Bearer {hmac_token()}", "admin.t")
    assert await client.resume(verified.resume_credential, "admin.t") == verified.grant


async def test_a_credential_is_good_any_number_of_times(client: Client) -> None:
    """An EventSource reconnects again and again, and from several tabs at once."""
    credential = await new_resume(client)
    for _ in range(3):
        outcomes = await asyncio.gather(*(client.resume_outcome(credential, "admin.t") for _ in range(50)))
        assert set(outcomes) == {("OK", "admin")}


@pytest.mark.parametrize(
    "topic",
    ["", "admin", "admins.t", "other.t", "Admin.t", " admin.t", "t.admin.", "admin." + "t" * 244],
    ids=lambda topic: topic[:12],
)
async def test_no_credential_for_what_the_tenant_cannot_read(client: Client, redis: Redis, topic: str) -> None:
    """The grant comes without a credential, and nothing is stored, for no topic, a foreign one, or one too long."""
    before = await stored_names(redis)
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    redeemed, verified = await client.redeem_with(ticket, topic), await client.verify(f"Bearer {hmac_token()}", topic)
    assert (redeemed.grant.tenant, redeemed.resume_credential) == ("admin", "")
    assert (verified.grant.tenant, verified.resume_credential) == ("admin", "")
    assert await stored_names(redis) <= before


@pytest.mark.parametrize("topic", ["admin.", "admin.t", "admin.a.b", "admin.a/b ü", "admin." + "t" * 243])
async def test_any_topic_of_the_tenant_gets_a_credential(client: Client, topic: str) -> None:
    """What the tenant may read it may resume, up to the longest name that Kafka knows."""
    credential = await new_resume(client, topic)
    assert await client.resume_outcome(credential, topic) == ("OK", "admin")


async def test_of_200_concurrent_redeems_one_gets_a_credential(client: Client, redis: Redis) -> None:
    """Asking for a credential does not make a ticket good twice, nor leave credentials of those who lost."""
    before = await stored_names(redis)
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    outcomes = await asyncio.gather(*(client.redeem_outcome(ticket, "admin.t") for _ in range(200)))
    assert outcomes.count(("OK", "admin")) == 1
    assert outcomes.count(INVALID) == 199
    assert len(await stored_names(redis) - before) == 1


@pytest.mark.parametrize("topic", ["", "admin.", "admin.T", "admin.t ", "admin.t.x", "admin.other", "other.t", "t"])
async def test_a_credential_is_worthless_for_another_topic(client: Client, topic: str) -> None:
    """Of the same tenant or another: the topic must be the one it was issued for; trying does not spoil it."""
    credential = await new_resume(client)
    assert await client.resume_outcome(credential, topic) == INVALID
    assert await client.resume_outcome(credential, "admin.t") == ("OK", "admin")


@pytest.mark.parametrize(
    "credential", ["", "A" * 24, "A" * 23, "A" * 23 + "=", "a" * 64, ".", "é" * 24, "A" * 3_000_000]
)
async def test_credentials_that_were_never_issued(client: Client, credential: str) -> None:
    """Missing, unknown and malformed credentials get the same answer."""
    assert await client.resume_outcome(credential, "admin.t") == INVALID


async def test_tickets_and_credentials_do_not_stand_in_for_each_other(client: Client) -> None:
    """A ticket is no credential, a credential no ticket."""
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    assert await client.resume_outcome(ticket, "admin.t") == INVALID
    assert await client.redeem_outcome(await new_resume(client)) == INVALID


async def test_deleting_the_entry_revokes(client: Client, redis: Redis) -> None:
    """Without its entry in Redis a credential is worthless, and others are not concerned."""
    revoked, other = await new_resume(client), await new_resume(client)
    assert await redis.delete(stored_name(revoked)) == 1
    assert await client.resume_outcome(revoked, "admin.t") == INVALID
    assert await client.resume_outcome(other, "admin.t") == ("OK", "admin")


async def test_redis_holds_neither_credential_nor_token(client: Client, redis: Redis) -> None:
    """Who can read Redis cannot present what is there: not the key's digest, nor the value, nor a part of it."""
    token = hmac_token()
    credential = (await client.verify(f"Bearer {token}", "admin.t")).resume_credential
    name = stored_name(credential)
    stored = await redis.get(name)
    assert isinstance(stored, bytes)
    assert not any([credential in key.decode() async for key in redis.scan_iter("*")])
    assert not any(part.encode() in stored for part in (credential, *token.split(".")))
    digest = name.rpartition(":")[2]
    for leaked in (name, digest, digest[:24], stored[1:25].decode("latin-1")):
        assert await client.resume_outcome(leaked, "admin.t") == INVALID


async def test_the_time_to_live_is_the_tokens(client: Client, redis: Redis) -> None:
    """Redis forgets the entry when the token expires."""
    credential = await new_resume(client, exp=int(time.time()) + 20)
    assert 0 < await redis.pttl(stored_name(credential)) <= 20_000


async def test_the_time_to_live_is_bounded(
    redis_address: RedisAddress, redis: Redis, start_service: StartService, connect: Connect
) -> None:
    """However long the token lives, KAFKA_WS_RESUME_MAX_SEC ends the entry."""
    bound = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_RESUME_MAX_SEC": "30"}
    _, address = start_service({**bound, **redis_address.settings()})
    credential = await new_resume(connect(address), exp=2**40)
    assert 0 < await redis.pttl(stored_name(credential)) <= 30_000


async def test_the_bound_is_a_day_unless_configured(client: Client, redis: Redis) -> None:
    """A token for ever does not fill Redis for ever."""
    credential = await new_resume(client, exp=2**40)
    assert 86_000_000 < await redis.pttl(stored_name(credential)) <= 86_400_000


async def test_what_others_write_into_redis_is_not_believed(client: Client, redis: Redis) -> None:
    """Invented entries, and ones sealed with a guessed secret, admit nobody."""
    body = json.dumps({"tenant": "victim", "token_exp": 2**50, "exp": 2**50, "topic": "victim.t"}).encode()
    grant = Grant("victim", 2**50, 2**50, "victim.t")
    invented, guessed = new_credential(), new_credential()
    await redis.set(stored_name(invented), b"\x01" + bytes(32) + body)
    sealed = seal(grant, Purpose.RESUME, credential_digest(guessed), grant_key("a guessed secret"))
    await redis.set(stored_name(guessed), sealed)
    for credential in (invented, guessed):
        assert await client.resume_outcome(credential, "victim.t") == INVALID
        await redis.delete(stored_name(credential))


async def test_an_entry_copied_to_another_key_does_not_validate(client: Client, redis: Redis) -> None:
    """Who can write Redis cannot give its own credential the grant of somebody else's."""
    mine, victims = await new_resume(client), await new_resume(client, "victim.t", service="victim")
    await redis.copy(stored_name(victims), stored_name(mine), replace=True)
    for topic in ("victim.t", "admin.t"):
        assert await client.resume_outcome(mine, topic) == INVALID
    assert await client.resume_outcome(victims, "victim.t") == ("OK", "victim")


async def test_a_true_seal_of_another_purpose_is_not_believed(client: Client, redis: Redis) -> None:
    """What the service has sealed for a ticket is none for a credential of the same digest, nor the other way round."""
    key, grant = grant_key(SECRET), Grant("admin", 2**50, 2**50, "admin.t")
    credential, ticket = new_credential(), new_ticket()
    for purpose in (Purpose.TICKET, Purpose.RESUME):
        of_credential = seal(grant, purpose, credential_digest(credential), key)
        of_ticket = seal(grant, purpose, ticket_digest(ticket), key)
        await redis.set(stored_name(credential), of_credential, px=60_000)
        await redis.set(f"kafka-ws:ticket:{ticket_digest(ticket).hex()}", of_ticket, px=60_000)
        good = ("OK", "admin")
        assert await client.resume_outcome(credential, "admin.t") == (good if purpose is Purpose.RESUME else INVALID)
        assert await client.redeem_outcome(ticket) == (good if purpose is Purpose.TICKET else INVALID)


async def test_a_value_of_another_type_does_no_harm(client: Client, redis: Redis) -> None:
    """A list under a credential's name is refused as unavailable, and the service goes on."""
    credential = new_credential()
    await redis.rpush(stored_name(credential), "x")
    assert (await client.resume_outcome(credential, "admin.t"))[0] == "UNAVAILABLE"
    await redis.delete(stored_name(credential))
    assert await client.resume_outcome(await new_resume(client), "admin.t") == ("OK", "admin")


@pytest.mark.parametrize(("token_life_sec", "longest_life_sec"), [(3600, 60), (30, 60)])
async def test_expiry_does_not_rest_on_redis(
    redis_address: RedisAddress, redis: Redis, token_life_sec: int, longest_life_sec: int
) -> None:
    """A credential older than its longest life, or than its token, is refused even when Redis has kept it."""
    start_sec = clock_sec = int(time.time())
    store = connect_store(settings(redis_address))
    credentials = ResumeCredentials(SealedGrants(store, b"k" * 32, lambda: clock_sec), longest_life_sec)
    token = Claims("admin", (start_sec + token_life_sec) * 1000)
    credential = await credentials.issue(token, "admin.t")
    await redis.persist(stored_name(credential))
    clock_sec = start_sec + min(token_life_sec, longest_life_sec) - 1
    assert await credentials.redeem(credential, "admin.t") == token
    clock_sec += 1
    with pytest.raises(InvalidTicketError):
        await credentials.redeem(credential, "admin.t")
    await redis.delete(stored_name(credential))
    await store.close()


@hypothesis_settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    credential=st.text() | st.text("Aa0-_", min_size=24, max_size=24).map("kwr_".__add__),
    topic=st.text() | st.just("admin.t"),
)
async def test_any_text_is_refused_in_the_same_words(service: str, credential: str, topic: str) -> None:
    """No credential and no topic make the service fail in another way."""
    client = Client(grpc.aio.insecure_channel(service))
    try:
        assert await client.resume_outcome(credential, topic) == INVALID
    finally:
        await client.close()
