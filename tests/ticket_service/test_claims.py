"""Reading and checking the claims of tokens."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticket_service.claims import (
    TENANT_LENGTH_LIMIT,
    Claims,
    check_audience,
    check_issuer,
    check_validity_start,
    parse_payload,
    read_claims,
)
from ticket_service.errors import InvalidTokenError

NOW = 1_700_000_000.5

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expiry", "expected_ms"),
    [
        (1_700_000_001, 1_700_000_001_000),
        (1_700_000_000.75, 1_700_000_000_750),
        (1_700_000_001.0, 1_700_000_001_000),
        (10**30, 253_402_300_799_000),
        (10**400, 253_402_300_799_000),
        (1.7e308, 253_402_300_799_000),
    ],
)
def test_good_claims_are_read(expiry: float, expected_ms: int) -> None:
    """Any finite future `exp` is good; one beyond the year 9999 is cut to it."""
    assert read_claims({"service": "admin", "exp": expiry}, NOW) == Claims("admin", expected_ms)


BAD_CLAIMS: list[tuple[str, dict[str, Any]]] = [
    ("empty object", {}),
    ("no service", {"exp": 2e9}),
    ("no exp", {"service": "admin"}),
    ("service empty", {"service": "", "exp": 2e9}),
    ("service null", {"service": None, "exp": 2e9}),
    ("service a number", {"service": 5, "exp": 2e9}),
    ("service zero", {"service": 0, "exp": 2e9}),
    ("service a boolean", {"service": True, "exp": 2e9}),
    ("service an object", {"service": {"a": 1}, "exp": 2e9}),
    ("service a list", {"service": ["admin"], "exp": 2e9}),
    ("service with a dot", {"service": "a.b", "exp": 2e9}),
    ("service a dot", {"service": ".", "exp": 2e9}),
    ("service with a line break", {"service": "a\nb", "exp": 2e9}),
    ("service with NUL", {"service": "a\0", "exp": 2e9}),
    ("service with a C1 control", {"service": "a\x85", "exp": 2e9}),
    ("service with a line separator", {"service": "a\u2028", "exp": 2e9}),
    ("service with half a surrogate pair", {"service": "a\ud800", "exp": 2e9}),
    ("service too long", {"service": "a" * (TENANT_LENGTH_LIMIT + 1), "exp": 2e9}),
    ("exp null", {"service": "admin", "exp": None}),
    ("exp zero", {"service": "admin", "exp": 0}),
    ("exp past", {"service": "admin", "exp": 1_600_000_000}),
    ("exp now", {"service": "admin", "exp": NOW}),
    ("exp negative", {"service": "admin", "exp": -1}),
    ("exp a huge negative", {"service": "admin", "exp": -(10**400)}),
    ("exp a text", {"service": "admin", "exp": "2000000000"}),
    ("exp empty text", {"service": "admin", "exp": ""}),
    ("exp true", {"service": "admin", "exp": True}),
    ("exp infinite", {"service": "admin", "exp": float("inf")}),
    ("exp not a number", {"service": "admin", "exp": float("nan")}),
    ("exp a list", {"service": "admin", "exp": [2e9]}),
    ("exp an object", {"service": "admin", "exp": {}}),
    ("Service in another case", {"Service": "admin", "exp": 2e9}),
]


@pytest.mark.parametrize("payload", [payload for _, payload in BAD_CLAIMS], ids=[name for name, _ in BAD_CLAIMS])
def test_bad_claims_are_refused(payload: dict[str, Any]) -> None:
    """Behaviour, section 1: `service` must be a non-empty text and `exp` a number in the future."""
    with pytest.raises(InvalidTokenError) as raised:
        read_claims(payload, NOW)
    assert str(raised.value) == "Invalid JWT token"


def test_the_longest_tenant_is_accepted() -> None:
    """Tenants are limited by what fits into a topic name with its dot, not below."""
    assert len(read_claims({"service": "a" * TENANT_LENGTH_LIMIT, "exp": 2e9}, NOW).tenant) == TENANT_LENGTH_LIMIT


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"5",
        b"[]",
        b'"text"',
        b"true",
        b"{",
        b"{}x",
        b"{'a':1}",
        b'{"a":1,}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"a":2}}',
        b'{"\xff":1}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_payloads_that_are_not_strict_json_objects_are_refused(payload: bytes) -> None:
    """Hostile payloads are invalid tokens, never crashes."""
    with pytest.raises(InvalidTokenError):
        parse_payload(payload)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    """No bytes make the reader fail in another way."""
    try:
        claims = read_claims(parse_payload(payload), time.time())
    except InvalidTokenError:
        return
    assert claims.tenant


@given(json_values, json_values)
def test_any_claims_are_accepted_or_refused(service: Any, expiry: Any) -> None:
    """What is accepted is a tenant without a dot and an expiry in the future."""
    try:
        claims = read_claims({"service": service, "exp": expiry}, NOW)
    except InvalidTokenError:
        return
    assert claims.tenant == service
    assert "." not in claims.tenant
    assert claims.expires_at_ms >= NOW * 1000 - 1


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_tokens_of_the_future_are_refused(name: str) -> None:
    """A token is not valid before its start, give or take the clocks' difference."""
    check_validity_start({name: NOW - 1}, NOW)
    check_validity_start({name: NOW + 1}, NOW)
    with pytest.raises(InvalidTokenError):
        check_validity_start({name: NOW + 3600}, NOW)


@pytest.mark.parametrize("value", ["1700000000", None, True, float("nan"), []])
def test_malformed_starts_are_refused(value: object) -> None:
    """`nbf` must be a number (RFC 7519, 4.1.5)."""
    with pytest.raises(InvalidTokenError):
        check_validity_start({"nbf": value}, NOW)


@pytest.mark.parametrize(("audience", "good"), [("us", True), (["a", "us"], True), ("usa", False), (["a"], False)])
def test_audience(audience: object, good: bool) -> None:
    """A token for others only is refused when an audience is configured."""
    if good:
        check_audience({"aud": audience}, "us")
    else:
        with pytest.raises(InvalidTokenError):
            check_audience({"aud": audience}, "us")


def test_issuer() -> None:
    """A token of another issuer, or of none, is refused when one is configured."""
    check_issuer({"iss": "me"}, "me")
    for payload in ({"iss": "you"}, {}):
        with pytest.raises(InvalidTokenError):
            check_issuer(payload, "me")
