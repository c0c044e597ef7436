"""The published keys of a token issuer: a JWK set behind a URL, kept fresh (RFC 7517).

Lives on the service's event loop; only the HTTP request itself runs on a thread. The token verifier asks for keys and,
when none of them fits, for a refresh; `run` refreshes periodically meanwhile.

PyJWT's `PyJWKClient` is not used: it bounds neither the size of the answer nor the number of keys nor the whole time
of a request; it does not keep keys past their age while the endpoint is away; it repeats a failing request for
every token; and without `alg` in a key it settles on one algorithm. Its `PyJWK` does parse the keys.
"""

import asyncio
import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from ticket_service import metrics
from ticket_service.errors import KeysUnavailableError
from ticket_service.verification_keys import UnusableKeyError, VerificationKey, published_key

log = structlog.get_logger(__name__)

ANSWER_BYTES_LIMIT = 256 * 1024
"""Large identity providers publish about 20 KB."""
KEYS_LIMIT = 64
"""Bounds what one token without `kid` can make us compute."""
_RETRY_SEC = 5.0
"""Pause after a failed periodic fetch."""
_EXTRA_FETCHES = 4
"""Fetches that tokens may cause in a row, such as a rotation right after the start; an attacker too."""
_EXTRA_FETCH_SEC = 10.0
"""In the long run, tokens cause one fetch in this time."""

Fetch = Callable[[], Awaitable[bytes]]


class FetchError(Exception):
    """The key set could not be fetched. The text says why."""


class KeySet:
    """The keys behind one URL.

    Args:
        fetch: gets the JSON text of the set; raises `FetchError`.
        pinned: algorithms the operator allows; empty: all asymmetric ones.
        refresh_sec: age at which keys are fetched again.
        stale_sec: age up to which keys are used while they cannot be fetched again.
        clock: seconds from any origin, never going back.
    """

    def __init__(
        self,
        fetch: Fetch,
        pinned: frozenset[str],
        *,
        refresh_sec: float,
        stale_sec: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts without keys."""
        self._fetch = fetch
        self._pinned = pinned
        self._refresh_sec = refresh_sec
        self._stale_sec = stale_sec
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at: float | None = None
        self._failing = False
        self._refresh: asyncio.Task[None] | None = None
        self._extra_fetches = float(_EXTRA_FETCHES)
        self._extra_counted_at = clock()

    def current_keys(self) -> Sequence[VerificationKey]:
        """The keys at hand; empty when there are none, or none fresh enough."""
        if self._fetched_at is None or self._clock() - self._fetched_at > self._stale_sec:
            return ()
        return self._keys

    async def refreshed_keys(self) -> Sequence[VerificationKey] | None:
        """The keys after a fetch, for a token that none of `current_keys()` fits. Concurrent callers share one fetch.

        Returns:
            The keys; None when those at hand have to do: the fetch failed, or there may be none now, because tokens
            have caused too many lately.

        Raises:
            KeysUnavailableError: there are no keys at all.
        """
        before = self._keys
        if self._refresh is not None or self._may_fetch_extra():
            await self._fetch_shared()
        keys = self.current_keys()
        if not keys:
            raise KeysUnavailableError("the keys to verify tokens with cannot be had")
        return None if keys is before else keys

    async def run(self) -> None:
        """Keeps the keys fresh until cancelled."""
        while True:
            await self._fetch_shared()
            await asyncio.sleep(min(_RETRY_SEC, self._refresh_sec) if self._failing else self._refresh_sec)

    def _may_fetch_extra(self) -> bool:
        now = self._clock()
        regained = (now - self._extra_counted_at) / _EXTRA_FETCH_SEC
        self._extra_fetches = min(float(_EXTRA_FETCHES), self._extra_fetches + regained)
        self._extra_counted_at = now
        if self._extra_fetches < 1:
            return False
        self._extra_fetches -= 1
        return True

    async def _fetch_shared(self) -> None:
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._fetch_once())
        # A caller that gives up (its client went away) must not end the fetch for the others.
        await asyncio.shield(self._refresh)

    async def _fetch_once(self) -> None:
        try:
            keys = parse_key_set(await self._fetch(), self._pinned)
        except FetchError as error:
            metrics.KEY_SET_FETCHES.labels("failed").inc()
            self._failing = True
            log.warning("key set not fetched", reason=str(error), keys_at_hand=len(self.current_keys()))
        else:
            metrics.KEY_SET_FETCHES.labels("ok").inc()
            metrics.KEY_SET_KEYS.set(len(keys))
            if self._failing or keys_differ(keys, self._keys):
                log.info("key set fetched", keys=len(keys), key_ids=[key.key_id for key in keys])
            self._keys, self._fetched_at, self._failing = keys, self._clock(), False
        finally:
            self._refresh = None


def keys_differ(new: Sequence[VerificationKey], old: Sequence[VerificationKey]) -> bool:
    """Whether two fetches gave different keys."""
    return [(key.key_id, key.key, key.algorithms) for key in new] != [
        (key.key_id, key.key, key.algorithms) for key in old
    ]


def parse_key_set(text: bytes, pinned: frozenset[str]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK set; others (encryption keys, unknown types) are left out, as RFC 7517, section 5, says.

    Raises:
        FetchError: not a JWK set, or no usable key in it.
    """
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise FetchError("the answer is not JSON") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise FetchError("the answer is not a JWK set")
    keys = []
    for member in members[:KEYS_LIMIT]:
        if isinstance(member, dict):
            with contextlib.suppress(UnusableKeyError):
                keys.append(published_key(member, pinned))
    usable = tuple(key for key in keys if key.algorithms)
    if not usable:
        raise FetchError("the key set holds no key that can be used")
    return usable


def http_fetch(url: str, timeout_sec: float) -> Fetch:
    """A fetch by HTTP or HTTPS.

    Args:
        url: checked before to be `http://` or `https://`. Redirects are not followed.
        timeout_sec: for the whole request.
    """

    async def fetch() -> bytes:
        try:
            return await asyncio.wait_for(asyncio.to_thread(_get, url, timeout_sec), timeout_sec)
        except TimeoutError:
            raise FetchError(f"no answer within {timeout_sec:g} s") from None

    return fetch


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would leave the scheme and host that the operator has named; it ends as an HTTP error."""

    def redirect_request(self, *_arguments: object, **_named: object) -> None:
        return None


def _get(url: str, timeout_sec: float) -> bytes:
    """Runs on a thread; `timeout_sec` is for each step, and the sum of the steps is bounded as well."""
    deadline = time.monotonic() + timeout_sec
    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json"})  # noqa: S310
    try:
        with urllib.request.build_opener(_NoRedirects()).open(request, timeout=timeout_sec) as answer:
            content = b""
            while piece := answer.read1(65536):
                content += piece
                if len(content) > ANSWER_BYTES_LIMIT:
                    raise FetchError(f"the answer is larger than {ANSWER_BYTES_LIMIT} bytes")
                if time.monotonic() > deadline:
                    raise FetchError(f"no complete answer within {timeout_sec:g} s")
            return content
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(f"HTTP status {error.code}") from None
    except urllib.error.URLError as error:
        raise FetchError(f"cannot connect: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{type(error).__name__}: {error}") from None
