"""Published keys: fetching, rotation, and what is done while the endpoint is away. Real HTTP on loopback."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.ticket_service.issuer import KeySetServer, base64url, published, signed_token
from ticket_service.errors import InvalidTokenError, KeysUnavailableError
from ticket_service.key_set import ANSWER_BYTES_LIMIT, KEYS_LIMIT, FetchError, KeySet, http_fetch, parse_key_set
from ticket_service.token_verifier import SignedTokens

NOTHING_PINNED: frozenset[str] = frozenset()
REFRESH_SEC = 300.0
STALE_SEC = 3600.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_set(key_set_server: KeySetServer, clock: Clock) -> KeySet:
    fetch = http_fetch(key_set_server.url, 5)
    return KeySet(fetch, NOTHING_PINNED, refresh_sec=REFRESH_SEC, stale_sec=STALE_SEC, clock=clock)


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for what a background task brings about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the HTTP server counts on another thread
            await asyncio.sleep(0.01)


async def accepts(key_set: KeySet, token: str) -> bool:
    try:
        await SignedTokens([], key_set).verify(f"Bearer {token}")
    except InvalidTokenError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "algorithm"), [("rsa", "RS256"), ("rsa", "PS512"), ("p256", "ES256"), ("ed", "EdDSA")]
)
async def test_tokens_are_verified_with_published_keys(
    key_set: KeySet, key_set_server: KeySetServer, name: str, algorithm: str
) -> None:
    """The first token fetches the set; the right key verifies, with `kid` and without."""
    key_set_server.publish([published("rsa-other", "other"), published(name, "mine")])
    assert await accepts(key_set, signed_token(name, algorithm, key_id="mine"))
    assert await accepts(key_set, signed_token(name, algorithm))
    assert not await accepts(key_set, signed_token(name, algorithm, key_id="other"))


async def test_keys_are_cached(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """Good tokens cause one request altogether."""
    key_set_server.publish([published("rsa", "a")])
    for _ in range(20):
        assert await accepts(key_set, signed_token("rsa", "RS256", key_id="a"))
    assert key_set_server.requests == 1


async def test_tokens_at_the_same_time_share_a_fetch(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """A rush at the start is one request."""
    key_set_server.publish([published("rsa", "a")])
    token = signed_token("rsa", "RS256", key_id="a")
    assert all(await asyncio.gather(*(accepts(key_set, token) for _ in range(50))))
    assert key_set_server.requests == 1


async def test_rotation(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """A new key works at once, without a restart; a key that was withdrawn does not, from the same moment on."""
    key_set_server.publish([published("rsa", "a")])
    assert await accepts(key_set, signed_token("rsa", "RS256", key_id="a"))
    key_set_server.publish([published("p256", "b")])
    assert await accepts(key_set, signed_token("p256", "ES256", key_id="b"))
    assert not await accepts(key_set, signed_token("rsa", "RS256", key_id="a"))


async def test_rotation_under_the_same_key_id(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """An issuer that changes the key and not its name is followed, too."""
    key_set_server.publish([published("rsa", "a")])
    assert await accepts(key_set, signed_token("rsa", "RS256", key_id="a"))
    key_set_server.publish([published("rsa-next", "a")])
    assert await accepts(key_set, signed_token("rsa-next", "RS256", key_id="a"))


async def test_unknown_keys_cause_few_requests(key_set: KeySet, key_set_server: KeySetServer, clock: Clock) -> None:
    """A flood of tokens with invented key ids does not become a flood of requests; after it, rotation works again."""
    key_set_server.publish([published("rsa", "a")])
    for number in range(100):
        assert not await accepts(key_set, signed_token("p256", "ES256", key_id=f"invented-{number}"))
    assert key_set_server.requests <= 5
    key_set_server.publish([published("p256", "b")])
    clock.now += 60
    assert await accepts(key_set, signed_token("p256", "ES256", key_id="b"))


async def test_algorithms_no_key_set_may_have_cause_no_request(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """HMAC and `none` are refused before the network is asked."""
    key_set_server.publish([published("rsa", "a"), {"kty": "oct", "kid": "h", "k": "c2VjcmV0"}])
    for algorithm in ("HS256", "none", "XX"):
        token = signed_token("rsa", "RS256")
        header = json.dumps({"alg": algorithm, "kid": "h"}).encode()
        assert not await accepts(key_set, ".".join([base64url(header), *token.split(".")[1:]]))
    assert key_set_server.requests == 0


async def test_without_keys_nothing_can_be_said(key_set: KeySet, key_set_server: KeySetServer) -> None:
    """An endpoint that never answered makes the service unavailable; the token may be good."""
    key_set_server.status = 500
    for _ in range(10):
        with pytest.raises(KeysUnavailableError):
            await accepts(key_set, signed_token("rsa", "RS256", key_id="a"))


async def test_keys_outlive_an_outage_up_to_a_bound(
    key_set: KeySet, key_set_server: KeySetServer, clock: Clock
) -> None:
    """While the endpoint is away the keys at hand are used, but not for ever; when it is back all is well."""
    key_set_server.publish([published("rsa", "a")])
    token = signed_token("rsa", "RS256", key_id="a")
    assert await accepts(key_set, token)
    key_set_server.status = 503
    clock.now += STALE_SEC
    assert await accepts(key_set, token)
    assert not await accepts(key_set, signed_token("rsa", "RS256", key_id="unknown"))
    clock.now += 1
    with pytest.raises(KeysUnavailableError):
        await accepts(key_set, token)
    key_set_server.status = 200
    clock.now += 60
    assert await accepts(key_set, token)


async def test_the_periodic_refresh_needs_no_tokens(key_set_server: KeySetServer) -> None:
    """A key that was withdrawn is forgotten even when no token comes; a failed fetch is tried again."""
    key_set_server.publish([published("rsa", "a")])
    key_set_server.status = 500
    key_set = KeySet(http_fetch(key_set_server.url, 5), NOTHING_PINNED, refresh_sec=0.01, stale_sec=STALE_SEC)
    task = asyncio.create_task(key_set.run())
    try:
        await eventually(lambda: key_set_server.requests >= 2)
        assert not key_set.current_keys()
        key_set_server.status = 200
        await eventually(lambda: [key.key_id for key in key_set.current_keys()] == ["a"])
        key_set_server.publish([published("rsa", "b")])
        await eventually(lambda: [key.key_id for key in key_set.current_keys()] == ["b"])
    finally:
        task.cancel()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b"5",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[5,null,{}]}',
        b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_answers_that_are_no_key_set(text: bytes) -> None:
    """An answer without a usable key counts as a failed fetch: the keys at hand stay."""
    with pytest.raises(FetchError):
        parse_key_set(text, NOTHING_PINNED)


def test_unusable_members_are_left_out() -> None:
    """Keys for other ends and of unknown types may stand in the same set (RFC 7517, section 5)."""
    members = [published("rsa", "enc", use="enc"), {"kty": "new"}, 5, published("rsa", "sig")]
    keys = parse_key_set(json.dumps({"keys": members}).encode(), NOTHING_PINNED)
    assert [key.key_id for key in keys] == ["sig"]


def test_the_number_of_keys_is_bounded() -> None:
    """A set of very many keys does not make a token without `kid` very expensive."""
    members = [published("ed", str(number)) for number in range(KEYS_LIMIT + 10)]
    assert len(parse_key_set(json.dumps({"keys": members}).encode(), NOTHING_PINNED)) == KEYS_LIMIT


async def test_large_answers_are_refused(key_set_server: KeySetServer) -> None:
    """An endless answer does not fill the memory."""
    key_set_server.body = b" " * (ANSWER_BYTES_LIMIT + 1)
    with pytest.raises(FetchError, match="larger than"):
        await http_fetch(key_set_server.url, 5)()


async def test_redirects_are_not_followed(key_set_server: KeySetServer) -> None:
    """The keys come from the configured URL or not at all."""
    key_set_server.status = 302
    key_set_server.headers["Location"] = key_set_server.url
    with pytest.raises(FetchError, match="302"):
        await http_fetch(key_set_server.url, 5)()
    assert key_set_server.requests == 1


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_silent_endpoint_times_out(silent_port: int) -> None:
    """A fetch ends within its time."""
    with pytest.raises(FetchError):
        await http_fetch(f"http://127.0.0.1:{silent_port}/keys", 0.2)()


async def test_a_refused_connection_is_a_failed_fetch(key_set_server: KeySetServer) -> None:
    """Nobody listening is an outage like any other."""
    key_set_server.close()
    with pytest.raises(FetchError, match="cannot connect"):
        await http_fetch(key_set_server.url, 5)()
