"""Issuing and redeeming over real gRPC, by the real service, with a real Valkey; single use, expiry, forgery."""

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
from tests.ticket_service.conftest import Connect
from tests.ticket_service.issuer import base64url, claims, hmac_token, raw_token
from tests.ticket_service.service import Client
from tests.ticket_service.test_store import settings
from ticket_service.claims import Claims
from ticket_service.errors import InvalidTicketError
from ticket_service.grant import Grant, Purpose, grant_key, seal
from ticket_service.resume_credential import ResumeCredentials
from ticket_service.sealed_grants import SealedGrants
from ticket_service.servicer import Tickets
from ticket_service.store import connect as connect_store
from ticket_service.ticket import is_ticket, new_ticket, ticket_digest

INVALID_TOKEN = ("UNAUTHENTICATED", "Invalid JWT token")
INVALID_TICKET = ("UNAUTHENTICATED", "Invalid ticket")


@pytest.fixture
async def client(service: str, connect: Connect) -> Client:
    """A client of the module's service."""
    return connect(service)


@pytest.fixture
async def redis(redis_address: RedisAddress) -> AsyncIterator[Redis]:
    redis = Redis.from_url(redis_address.url)
    yield redis
    await redis.aclose()


def stored_name(ticket: str) -> str:
    return f"kafka-ws:ticket:{ticket_digest(ticket).hex()}"


async def test_a_token_becomes_a_ticket_becomes_a_grant(client: Client) -> None:
    """The way it is meant: the grant says tenant and expiry of the token."""
    payload = claims(service="someone")
    before_ms = int(time.time() * 1000)
    issued = await client.issue(f"Bearer {hmac_token(payload)}")
    assert is_ticket(issued.ticket)
    assert before_ms + 60_000 <= issued.expires_at_ms <= int(time.time() * 1000) + 60_000
    grant = await client.redeem(issued.ticket)
    assert (grant.tenant, grant.token_expires_at_ms) == ("someone", payload["exp"] * 1000)


async def test_one_token_gets_many_different_tickets(client: Client) -> None:
    """Several requests by one user in one second get different tickets, and each of them works."""
    authorization = f"Bearer {hmac_token()}"
    issued = await asyncio.gather(*(client.issue(authorization) for _ in range(20)))
    assert len({response.ticket for response in issued}) == 20
    for response in issued:
        assert await client.redeem_outcome(response.ticket) == ("OK", "admin")


async def test_a_ticket_is_good_once(client: Client) -> None:
    """The second redeem is refused."""
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    assert await client.redeem_outcome(ticket) == ("OK", "admin")
    assert await client.redeem_outcome(ticket) == INVALID_TICKET


async def test_of_200_concurrent_redeems_exactly_one_succeeds(service: str, connect: Connect) -> None:
    """Single use holds under concurrency, over several connections."""
    clients = [connect(service) for _ in range(4)]
    for _ in range(3):
        ticket = (await clients[0].issue(f"Bearer {hmac_token()}")).ticket
        outcomes = await asyncio.gather(*(clients[n % 4].redeem_outcome(ticket) for n in range(200)))
        assert outcomes.count(("OK", "admin")) == 1
        assert outcomes.count(INVALID_TICKET) == 199


BAD_AUTHORIZATIONS = pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("", "Missing JWT token"),
        ("Bearer", "Invalid JWT token"),
        ("Bearer ", "Invalid JWT token"),
        ("Bearer  x.y.z", "Invalid JWT token"),
        ("Basic dXNlcjpwYXNz", "Invalid JWT token"),
        ("Bearer x", "Invalid JWT token"),
        ("Bearer x.y.z", "Invalid JWT token"),
        ("Bearer " + "a" * 3_000_000, "Invalid JWT token"),
        (f"Bearer {hmac_token(secret='some other secret, long enough for it')}", "Invalid JWT token"),
        (f"Bearer {hmac_token(claims(exp=1))}", "Invalid JWT token"),
        (f"Bearer {hmac_token(claims(service='a.b'))}", "Invalid JWT token"),
        (f"Bearer {raw_token(b'null')}", "Invalid JWT token"),
    ],
    ids=lambda value: value[:24],
)


@BAD_AUTHORIZATIONS
async def test_bad_authorizations(client: Client, authorization: str, message: str) -> None:
    """Behaviour, section 1: the two messages, as details of UNAUTHENTICATED."""
    assert await client.issue_outcome(authorization) == ("UNAUTHENTICATED", message)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_in_any_case(client: Client, scheme: str) -> None:
    """RFC 7235."""
    assert (await client.issue_outcome(f"{scheme} {hmac_token()}"))[0] == "OK"


@pytest.mark.parametrize(
    "ticket", ["a" * 64, "A" * 64, "a" * 63, "x", "ticket", " ", "\0" * 64, "é" * 64, "a" * 3_000_000]
)
async def test_tickets_that_were_never_issued(client: Client, ticket: str) -> None:
    """Unknown and malformed tickets get the same answer."""
    assert await client.redeem_outcome(ticket) == INVALID_TICKET


async def test_no_ticket(client: Client) -> None:
    """An empty ticket is a missing one."""
    assert await client.redeem_outcome("") == ("UNAUTHENTICATED", "Missing ticket")


async def test_redis_holds_neither_ticket_nor_token(client: Client, redis: Redis) -> None:
    """Who can read Redis cannot present what is there."""
    token = hmac_token()
    ticket = (await client.issue(f"Bearer {token}")).ticket
    name = stored_name(ticket)
    stored = await redis.get(name)
    assert isinstance(stored, bytes)
    keys = [key.decode() async for key in redis.scan_iter("*")]
    assert name in keys
    assert not any(ticket in key for key in keys)
    assert ticket.encode() not in stored
    assert bytes.fromhex(ticket) not in stored
    assert not any(part.encode() in stored for part in token.split("."))


async def test_the_time_to_live_is_the_tickets(client: Client, redis: Redis) -> None:
    """An unused ticket is gone after its time, which Redis knows."""
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    assert 0 < await redis.pttl(stored_name(ticket)) <= 60_000


async def test_a_ticket_lives_no_longer_than_its_token(client: Client, redis: Redis) -> None:
    """A token about to expire gives a ticket about to expire."""
    payload = claims(exp=int(time.time()) + 20)
    issued = await client.issue(f"Bearer {hmac_token(payload)}")
    assert issued.expires_at_ms == payload["exp"] * 1000
    assert 0 < await redis.pttl(stored_name(issued.ticket)) <= 20_000


async def test_what_others_write_into_redis_is_not_believed(client: Client, redis: Redis) -> None:
    """Invented, changed and swapped grants are refused, and used up."""
    mine, theirs = [(await client.issue(f"Bearer {hmac_token()}")).ticket for _ in range(2)]
    victims = (await client.issue(f"Bearer {hmac_token(claims(service='victim'))}")).ticket
    invented = new_ticket()
    body = json.dumps({"tenant": "victim", "token_exp": 2**50, "exp": 2**50}).encode()
    grant = Grant("victim", 2**50, 2**50)
    foreign = seal(grant, Purpose.TICKET, ticket_digest(theirs), grant_key("a guessed secret"))
    await redis.set(stored_name(invented), b"\x01" + bytes(32) + body)
    await redis.copy(stored_name(victims), stored_name(mine), replace=True)
    await redis.set(stored_name(theirs), foreign)
    for ticket in (invented, mine, theirs):
        assert await client.redeem_outcome(ticket) == INVALID_TICKET
        assert await redis.get(stored_name(ticket)) is None
    assert await client.redeem_outcome(victims) == ("OK", "victim")


async def test_a_value_of_another_type_does_no_harm(client: Client, redis: Redis) -> None:
    """A list under a ticket's name is refused as unavailable, and the service goes on."""
    ticket = new_ticket()
    await redis.rpush(stored_name(ticket), "x")
    assert (await client.redeem_outcome(ticket))[0] == "UNAVAILABLE"
    assert (await client.issue_outcome(f"Bearer {hmac_token()}"))[0] == "OK"
    await redis.delete(stored_name(ticket))


class TokensOf:
    """A verifier that believes everything, for tests of what comes after."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    async def verify(self, authorization: str) -> Claims:
        """Returns the claims."""
        return self._claims


@pytest.mark.parametrize(("token_life_sec", "lifetime_sec"), [(3600, 60), (30, 60)])
async def test_expiry_does_not_rest_on_redis(
    redis_address: RedisAddress, redis: Redis, token_life_sec: int, lifetime_sec: int
) -> None:
    """A ticket older than its time, or than its token, is refused even when Redis has kept it."""
    clock_sec = [time.time()]
    store = connect_store(settings(redis_address))
    expiry_ms = int(clock_sec[0] * 1000) + token_life_sec * 1000
    grants = SealedGrants(store, b"k" * 32, lambda: clock_sec[0])
    tickets = Tickets(TokensOf(Claims("admin", expiry_ms)), grants, ResumeCredentials(grants, 1), lifetime_sec)
    early, late = await tickets.issue("x"), await tickets.issue("x")
    await redis.persist(stored_name(late.ticket))
    clock_sec[0] = early.expires_at_ms / 1000 - 0.01
    assert (await tickets.redeem(early.ticket)).claims.tenant == "admin"
    clock_sec[0] = late.expires_at_ms / 1000 + 0.01
    with pytest.raises(InvalidTicketError):
        await tickets.redeem(late.ticket)
    await store.close()


hostile_tokens = (
    st.text()
    | st.text().map("Bearer {}".format)
    | st.binary().map(lambda payload: f"Bearer {raw_token(payload)}")
    | st.dictionaries(
        st.sampled_from(["service", "exp", "nbf", "iat"]),
        st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.just(2**33),
    ).map(lambda payload: f"Bearer {raw_token(json.dumps(payload).encode())}")
)


@hypothesis_settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(authorization=hostile_tokens)
async def test_any_text_gives_a_ticket_or_one_of_the_messages(service: str, authorization: str) -> None:
    """No authorization makes the service fail in another way."""
    client = Client(grpc.aio.insecure_channel(service))
    try:
        status, text = await client.issue_outcome(authorization)
    finally:
        await client.close()
    if status == "OK":
        assert is_ticket(text)
    else:
        assert (status, text) in (("UNAUTHENTICATED", "Missing JWT token"), INVALID_TOKEN)


async def test_gateway_payloads_are_no_tokens_here(client: Client) -> None:
    """A service that verifies does not take the unsigned form."""
    payload = base64url(json.dumps(claims()).encode())
    assert await client.issue_outcome(f"Bearer x.{payload}.") == INVALID_TOKEN
