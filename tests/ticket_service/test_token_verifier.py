"""Which authorizations are believed: signatures, forgeries, the gateway's way."""

import base64
import itertools
import json
import time
import warnings
from collections.abc import Sequence

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ticket_service.issuer import (
    SECRET,
    base64url,
    claims,
    hmac_token,
    private_key,
    public_pem,
    raw_token,
    signed_token,
)
from ticket_service.errors import InvalidTokenError, MissingTokenError, RefusedError
from ticket_service.token_verifier import TOKEN_LENGTH_LIMIT, GatewayTokens, SignedTokens, TokenVerifier, bearer_token
from ticket_service.verification_keys import VerificationKey, pem_keys, secret_key

NOTHING_PINNED: frozenset[str] = frozenset()


def by_secret(secret: str = SECRET) -> SignedTokens:
    """A verifier with the issuer's secret only."""
    return SignedTokens([secret_key(secret, NOTHING_PINNED)])


def by_public_keys(*names: str, pinned: Sequence[str] = ()) -> SignedTokens:
    """A verifier with public keys."""
    keys: list[VerificationKey] = []
    for name in names:
        keys += pem_keys(public_pem(name), frozenset(pinned))
    return SignedTokens(keys)


async def assert_invalid(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(InvalidTokenError) as raised:
        await verifier.verify(f"Bearer {token}")
    assert str(raised.value) == "Invalid JWT token"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_in_any_case(scheme: str) -> None:
    """RFC 7235: the scheme's case does not matter."""
    assert bearer_token(f"{scheme} abc") == "abc"


def test_an_empty_authorization_is_missing() -> None:
    """No token is another message than a bad one."""
    with pytest.raises(MissingTokenError, match=r"^Missing JWT token$"):
        bearer_token("")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        " ",
        "abc",
        "Basic abc",
        "Bearer  abc",
        " Bearer abc",
        "Bearer abc ",
        "Bearer abc def",
        "Bearer\tabc",
        "Bearer: abc",
        "Bearer " + "a" * (TOKEN_LENGTH_LIMIT + 1),
    ],
)
def test_other_forms_are_invalid(authorization: str) -> None:
    """Behaviour, section 1: exactly two parts, separated by one space, of bounded size."""
    with pytest.raises(InvalidTokenError, match=r"^Invalid JWT token$"):
        bearer_token(authorization)


async def test_a_token_signed_with_the_secret_is_believed() -> None:
    """HS256, tenant and expiry are read."""
    payload = claims(service="someone")
    verified = await by_secret().verify(f"Bearer {hmac_token(payload)}")
    assert (verified.tenant, verified.expires_at_ms) == ("someone", payload["exp"] * 1000)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("k256", "ES256K"), ("ed", "EdDSA")],
)
async def test_a_token_signed_with_a_private_key_is_believed(name: str, algorithm: str) -> None:
    """Each kind of public key verifies its own algorithm, and no other key's signature."""
    verified = await by_public_keys(name).verify(f"Bearer {signed_token(name, algorithm)}")
    assert verified.tenant == "admin"
    await assert_invalid(by_public_keys(name), signed_token(f"{name}-other", algorithm))


async def test_several_kinds_side_by_side() -> None:
    """A secret and two public keys each verify their own tokens."""
    keys = [
        secret_key(SECRET, NOTHING_PINNED),
        *pem_keys(public_pem("rsa"), NOTHING_PINNED),
        *pem_keys(public_pem("rsa-next"), NOTHING_PINNED),
        *pem_keys(public_pem("ed"), NOTHING_PINNED),
    ]
    verifier = SignedTokens(keys)
    for token in (
        hmac_token(),
        signed_token("rsa", "RS256"),
        signed_token("rsa-next", "RS256"),
        signed_token("ed", "EdDSA"),
    ):
        assert (await verifier.verify(f"Bearer {token}")).tenant == "admin"


async def test_one_hmac_is_not_another() -> None:
    """The secret is for HS256 alone, unless others are pinned."""
    secret = SECRET * 2
    token = hmac_token(secret=secret, algorithm="HS512")
    await assert_invalid(by_secret(secret), token)
    assert await SignedTokens([secret_key(secret, frozenset({"HS512"}))]).verify(f"Bearer {token}")


async def test_pinned_algorithms_only() -> None:
    """PS256 is accepted when pinned, and RS256 then is not."""
    verifier = by_public_keys("rsa", pinned=["PS256"])
    assert await verifier.verify(f"Bearer {signed_token('rsa', 'PS256')}")
    await assert_invalid(verifier, signed_token("rsa", "RS256"))
    await assert_invalid(by_public_keys("rsa"), signed_token("rsa", "PS256"))


async def test_a_short_secret_works() -> None:
    """A weak secret is the operator's to change (there is a warning at start); tokens are verified with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = hmac_token(secret="short")
        assert await by_secret("short").verify(f"Bearer {token}")
        await assert_invalid(by_secret("shorter"), token)


async def test_forged_tokens() -> None:
    """Wrong secret, no signature, changed payload, changed header, a part more: all refused."""
    head, body, signature = hmac_token().split(".")
    other = base64url(json.dumps(claims(service="victim")).encode())
    verifier = by_secret()
    for token in (
        hmac_token(secret="another secret of more than 32 bytes!"),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{'A' * len(signature)}",
        f"{base64url(json.dumps({'alg': 'HS256', 'typ': 'x'}).encode())}.{body}.{signature}",
        f"{head}.{body}.{signature}.{signature}",
        f"{head}.{body}.{signature}A",
        "..",
        "a.b.c",
    ):
        await assert_invalid(verifier, token)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
async def test_unsigned_tokens(algorithm: str) -> None:
    """`alg: none` in any spelling, with and without a signature, is refused by every kind of key."""
    header = base64url(json.dumps({"alg": algorithm}).encode())
    body = base64url(json.dumps(claims()).encode())
    for verifier in (by_secret(), by_public_keys("rsa", "p256", "ed")):
        for signature in ("", "AAAA", hmac_token().split(".")[2]):
            await assert_invalid(verifier, f"{header}.{body}.{signature}")


@pytest.mark.parametrize("name", ["rsa", "p256", "ed"])
async def test_key_confusion(name: str) -> None:
    """A token signed by HMAC with the public key as its secret is refused, also where a real secret is configured."""
    header = b'{"alg":"HS256","typ":"JWT"}'
    pem = public_pem(name).encode()
    both = SignedTokens([*pem_keys(public_pem(name), NOTHING_PINNED), secret_key(SECRET, NOTHING_PINNED)])
    for secret in (pem, pem.strip(), pem.replace(b"\n", b"\r\n")):
        token = raw_token(json.dumps(claims()).encode(), header, secret)
        await assert_invalid(by_public_keys(name), token)
        await assert_invalid(both, token)
    # The other way round: the secret is no public key.
    await assert_invalid(by_secret(), signed_token(name, {"rsa": "RS256", "p256": "ES256", "ed": "EdDSA"}[name]))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"alg":null}',
        b'{"alg":["HS256"]}',
        b'{"alg":{"HS256":1}}',
        b'{"alg":256}',
        b'{"alg":"HS256","kid":5}',
        b'{"alg":"HS256","crit":["exp"]}',
        b'{"alg":"HS256","crit":[]}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}',
        b"[" * 5000,
        b"\xff",
    ],
)
async def test_odd_headers(header: bytes) -> None:
    """A header that cannot be understood is refused, whatever its signature is worth."""
    await assert_invalid(by_secret(), raw_token(json.dumps(claims()).encode(), header))


async def test_keys_named_in_the_token_are_not_used() -> None:
    """`jwk`, `jku` and `x5u` in a header, where an attacker puts a key of its own, change nothing."""
    attacker = private_key("rsa-attacker")
    headers = {
        "jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(attacker.public_key())),  # type: ignore[arg-type]
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/cert",
    }
    token = jwt.encode(claims(), attacker, "RS256", headers)
    await assert_invalid(by_public_keys("rsa"), token)


@pytest.mark.parametrize(
    "payload",
    [
        claims(exp=int(time.time()) - 1),
        claims(nbf=int(time.time()) + 3600),
        claims(service="a.b"),
        claims(service=7),
        claims(exp=True),
        claims(exp=None),
        {},
    ],
)
async def test_bad_claims_rightly_signed(payload: dict[str, object]) -> None:
    """A signature does not make bad claims good."""
    await assert_invalid(by_secret(), raw_token(json.dumps(payload).encode()))


@pytest.mark.parametrize("payload", [b"5", b"[]", b"null", b'{"service":"a","service":"b","exp":9e9}', b'{"exp":NaN}'])
async def test_odd_payloads_rightly_signed(payload: bytes) -> None:
    """A signature does not make odd JSON good."""
    await assert_invalid(by_secret(), raw_token(payload))


async def test_claims_that_do_not_concern_us_are_left_alone() -> None:
    """Tokens made for several services hold an audience, a subject, nested roles."""
    payload = claims(aud=["x"], sub=5, jti=7, iss="someone", realm_access={"roles": ["a"]})
    assert await by_secret().verify(f"Bearer {raw_token(json.dumps(payload).encode())}")


async def test_configured_issuer_and_audience() -> None:
    """When configured, both must fit."""
    verifier = SignedTokens([secret_key(SECRET, NOTHING_PINNED)], issuer="me", audience="us")
    assert await verifier.verify(f"Bearer {hmac_token(claims(iss='me', aud=['us', 'them']))}")
    await assert_invalid(verifier, hmac_token(claims(iss="me", aud="them")))
    await assert_invalid(verifier, hmac_token(claims(iss="you", aud="us")))
    await assert_invalid(verifier, hmac_token())


GOOD_PAYLOAD = base64url(json.dumps(claims()).encode())


@pytest.mark.parametrize(
    "token",
    [
        f"x.{GOOD_PAYLOAD}",
        f".{GOOD_PAYLOAD}",
        f"!!.{GOOD_PAYLOAD}.",
        f"a.{GOOD_PAYLOAD}.not-a-signature",
        f"a.{GOOD_PAYLOAD}.b.c.d",
        "a." + base64.urlsafe_b64encode(json.dumps(claims()).encode()).decode() + ".",
    ],
    ids=itertools.count(),  # the texts hold the time: no names that two workers agree on
)
async def test_the_gateway_mode_reads_only_the_second_part(token: str) -> None:
    """Behaviour, section 1: header and third part may be anything or missing."""
    assert (await GatewayTokens().verify(f"Bearer {token}")).tenant == "admin"


@pytest.mark.parametrize(
    "payload",
    [
        b"5",
        b"[]",
        b"{}",
        b"null",
        b"not json",
        json.dumps(claims(service="")).encode(),
        json.dumps(claims(service=5)).encode(),
        json.dumps(claims(exp=0)).encode(),
        json.dumps(claims(exp="2000000000")).encode(),
        json.dumps(claims(exp=int(time.time()) - 1)).encode(),
    ],
    ids=itertools.count(),  # the texts hold the time: no names that two workers agree on
)
async def test_the_gateway_mode_checks_claims(payload: bytes) -> None:
    """Trust in the signature is not trust in the form: bad claims and past expiry are refused."""
    await assert_invalid(GatewayTokens(), f"a.{base64url(payload)}.c")


@pytest.mark.parametrize(
    "token", ["abc", "a.", ".", "a.b.c", "a.!!!!.c", "a.é.c", f"a.{GOOD_PAYLOAD}====.c", "a.A.c"], ids=itertools.count()
)
async def test_the_gateway_mode_refuses_what_cannot_be_decoded(token: str) -> None:
    """One part, bad base64, bad JSON: 401 where the original failed with 500."""
    await assert_invalid(GatewayTokens(), token)


@given(
    st.text()
    | st.text().map("Bearer {}".format)
    | st.tuples(st.binary(), st.binary()).map(lambda parts: f"Bearer {base64url(parts[0])}.{base64url(parts[1])}.x")
)
async def test_any_text_is_believed_or_refused(authorization: str) -> None:
    """No text makes a verifier fail in another way."""
    verifiers: list[TokenVerifier] = [by_secret(), by_public_keys("rsa"), GatewayTokens()]
    for verifier in verifiers:
        try:
            outcome = "believed: " + (await verifier.verify(authorization)).tenant
        except RefusedError as error:
            outcome = str(error)
        assert outcome in ("Missing JWT token", "Invalid JWT token") or len(outcome) > len("believed: ")
