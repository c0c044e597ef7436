"""Behaviour, section 1, behind an API gateway: signatures are not checked, and everything else is."""

import base64
import json
import time
from collections.abc import Iterator

import pytest

from tests.kafka.cluster import KafkaCluster
from tests.redis_server import RedisAddress
from tests.stack.client import Client
from tests.stack.stack import Stack

INVALID = {"message": "Invalid JWT token"}


@pytest.fixture(scope="module")
def trusting(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster, redis_address: RedisAddress
) -> Iterator[Client]:
    """A client of a system that trusts a gateway."""
    stack = Stack(tmp_path_factory.mktemp("trusting"), kafka.bootstrap, redis_address)
    del stack.tier_settings["ticket_service"]["KAFKA_WS_TOKEN_HS256_SECRET"]
    stack.tier_settings["ticket_service"] |= {
        "KAFKA_WS_TOKEN_TRUST_GATEWAY": "true",
        "KAFKA_WS_TICKET_GRANT_SECRET": "a secret for grants that is as long as it has to be",
    }
    with stack:
        yield stack.client()


def encoded(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")


def claims(**changes: object) -> str:
    """The payload part of a token that is good but for the changes; None leaves a claim out."""
    given = {"service": "admin", "exp": int(time.time()) + 600, **changes}
    return encoded(json.dumps({name: value for name, value in given.items() if value is not None}).encode())


@pytest.mark.parametrize("form", ["x.{}", ".{}", "x.{}.", "x.{}.y", "!.{}.?", "x.{}.y.z.a"])
async def test_only_the_payload_is_read(trusting: Client, form: str) -> None:
    """Header and third part may be anything or missing."""
    assert (await trusting.request_ticket(f"Bearer {form.format(claims())}")).status == 200


async def test_payload_alone(trusting: Client) -> None:
    """A text without a dot is no token."""
    response = await trusting.request_ticket(f"Bearer {claims()}")
    assert (response.status, response.json()) == (401, INVALID)


async def test_tenant_is_the_claim(trusting: Client) -> None:
    """The ticket is good for the topics of the tenant that the payload names."""
    ticket = await trusting.get_ticket(token=f"x.{claims(service='ação')}.y")
    async with await trusting.connect("ação.t", ticket=ticket) as socket:
        await (await socket.connection.ping())
    ticket = await trusting.get_ticket(token=f"x.{claims(service='ação')}.y")
    async with await trusting.connect("admin.t", ticket=ticket) as socket:
        assert (await socket.closed()).code == 4403


@pytest.mark.parametrize(
    "changes",
    [
        {"service": None},
        {"service": ""},
        {"service": 0},
        {"service": 5},
        {"service": {"a": 1}},
        {"service": ["admin"]},
        {"service": True},
        {"service": "a.b"},
        {"exp": None},
        {"exp": ""},
        {"exp": 0},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 1_000_000_000},
        {"exp": -1},
        {"exp": [9_999_999_999]},
    ],
)
async def test_claims(trusting: Client, changes: dict[str, object]) -> None:
    """`service` must be a text that can be a tenant, `exp` a number in the future."""
    response = await trusting.request_ticket(f"Bearer x.{claims(**changes)}.y")
    assert (response.status, response.json()) == (401, INVALID)


@pytest.mark.parametrize(
    "payload",
    [
        encoded(text)
        for text in (b"null", b"5", b"[]", b"{}", b'"x"', b"", b"x", b"\xff", b'{"service":', b"[" * 10_000, b"NaN")
    ]
    + ["%", "a", "====", "ä".encode().decode("latin-1")],
)
async def test_payloads(trusting: Client, payload: str) -> None:
    """What cannot be decoded, or is no object with the claims, is invalid; nothing is an unexpected error."""
    response = await trusting.request_ticket(f"Bearer x.{payload}.y")
    assert (response.status, response.json()) == (401, INVALID)


async def test_expiry_far_away(trusting: Client) -> None:
    """An `exp` of any size is a time, fractions included."""
    for exp in (10**10 + 0.5, 10**18, 10**400):
        ticket = await trusting.get_ticket(token=f"x.{claims(exp=exp)}.y")
        async with await trusting.connect("admin.t", ticket=ticket) as socket:
            await (await socket.connection.ping())
