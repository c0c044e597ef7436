"""Behaviour, section 1: the ticket endpoint, through the real tiers. Each case is a row of its tables."""

import base64
import json
import re
import time

import jwt
import pytest

from tests.edge.raw import exchange, get
from tests.stack.client import Client
from tests.stack.tokens import TokenIssuer

MISSING = {"message": "Missing JWT token"}
INVALID = {"message": "Invalid JWT token"}


def signed(tokens: TokenIssuer, payload: bytes) -> str:
    """A token with a good signature over any payload."""
    return jwt.PyJWS().encode(payload, tokens.secret, algorithm="HS256")


def unsigned(header: object, payload: object) -> str:
    """A token whose signature is empty."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, payload)]
    return ".".join([*parts, ""])


async def test_valid_token(client: Client) -> None:
    """200 with 64 lower-case hexadecimal digits, each time others."""
    tickets = [await client.get_ticket() for _ in range(3)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", ticket) for ticket in tickets)
    assert len(set(tickets)) == 3


@pytest.mark.parametrize("authorization", [None, "", " "])
async def test_missing_token(client: Client, authorization: str | None) -> None:
    """No or empty Authorization."""
    response = await client.request_ticket(authorization)
    assert (response.status, response.json()) == (401, MISSING)


@pytest.mark.parametrize("scheme", ["Basic {}", "Bearer", "Bearer ", "Bearer  {}", "{}", "Bearer {} x", "Bearer{}"])
async def test_not_two_parts_or_another_scheme(client: Client, scheme: str) -> None:
    """Not exactly two parts separated by one space, or not a bearer token."""
    response = await client.request_ticket(scheme.format(client.tokens.token()))
    assert (response.status, response.json()) == (401, INVALID)


async def test_scheme_in_lower_case(client: Client) -> None:
    """The scheme is compared as RFC 7235 says."""
    assert (await client.request_ticket(f"bearer {client.tokens.token()}")).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"service": None},
        {"exp": None},
        {"service": ""},
        {"exp": 0},
        {"exp": "soon"},
        {"exp": "99999999999"},
        {"exp": True},
        {"exp": 1_000_000_000},
        {"service": 5},
        {"service": {"name": "admin"}},
        {"service": ["admin"]},
        {"service": True},
    ],
)
async def test_claims(client: Client, claims: dict[str, object]) -> None:
    """`service` must be a non-empty text and `exp` a number that is not past."""
    response = await client.request_ticket(f"Bearer {client.tokens.token(claims=claims)}")
    assert (response.status, response.json()) == (401, INVALID)


@pytest.mark.parametrize(
    "payload", [b"5", b"[]", b"{}", b"null", b'"x"', b"", b"not JSON", b"\xff\xfe", b'{"service":']
)
async def test_payloads(client: Client, payload: bytes) -> None:
    """What is no JSON object with the claims is invalid, never an unexpected error."""
    response = await client.request_ticket(f"Bearer {signed(client.tokens, payload)}")
    assert (response.status, response.json()) == (401, INVALID)


@pytest.mark.parametrize(
    "token", ["x", "a.b", "a.b.c", "..", ".", "e30.e30.", "!!!.???.***", "a.b.c.d.e", "x" * 100_000]
)
async def test_undecodable_tokens(client: Client, token: str) -> None:
    """What is no token is invalid, never an unexpected error."""
    response = await client.request_ticket(f"Bearer {token}")
    assert (response.status, response.json()) == (401, INVALID)


async def test_forged_tokens(client: Client) -> None:
    """Another secret, no algorithm, or an empty signature: invalid."""
    claims = {"service": "admin", "exp": int(time.time()) + 60}
    forged = [
        client.tokens.token(secret="another secret that is as long as HS256 wants it to be"),
        unsigned({"alg": "none"}, claims),
        unsigned({"alg": "HS256"}, claims),
        client.tokens.token()[:-4] + "AAAA",
    ]
    for token in forged:
        response = await client.request_ticket(f"Bearer {token}")
        assert (response.status, response.json()) == (401, INVALID)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods(client: Client, method: str) -> None:
    """405 with what is allowed."""
    response = await client.request("/kafka-ws/v1/ticket", method=method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


async def test_head(client: Client) -> None:
    """As GET, without a body."""
    headers = {"Authorization": f"Bearer {client.tokens.token()}"}
    response = await client.request("/kafka-ws/v1/ticket", method="HEAD", headers=headers)
    assert (response.status, response.body) == (200, b"")
    assert (await client.request("/kafka-ws/v1/ticket", method="HEAD")).status == 401


@pytest.mark.parametrize(
    "path", ["/kafka-ws/v1/ticket/", "/kafka-ws/v1/TICKET", "/v1/ticket", "/kafka-ws/v1/ticket%20"]
)
async def test_other_paths(client: Client, path: str) -> None:
    """The path is exact."""
    response = await client.request(path, headers={"Authorization": f"Bearer {client.tokens.token()}"})
    assert (response.status, response.json()) == (404, {"message": "Not Found"})


async def test_headers(client: Client) -> None:
    """Bodies are JSON in UTF-8, and `X-Request-Id` is echoed or made."""
    port = int(client.url.rpartition(":")[2])
    for authorization in ("", f"Bearer {client.tokens.token()}"):
        headers = {"Host": "edge", "X-Request-Id": "mine", "Authorization": authorization}
        response = await exchange(port, get("/kafka-ws/v1/ticket", headers))
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["x-request-id"] == "mine"
    response = await exchange(port, get("/kafka-ws/v1/ticket", {"Host": "edge"}))
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["x-request-id"])
