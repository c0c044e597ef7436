"""From the header `Authorization` to the claims of a token that may be believed.

Called by the servicer, on the event loop. Two ways: `SignedTokens` checks signatures, `GatewayTokens` reads the claims
of tokens that an API gateway has checked before (the original's way, by explicit setting only). Rules: behaviour,
section 1; RFC 8725.
"""

import base64
import binascii
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jwt

from ticket_service.claims import (
    Claims,
    check_audience,
    check_issuer,
    check_validity_start,
    parse_payload,
    read_claims,
)
from ticket_service.errors import InvalidTokenError, MissingTokenError
from ticket_service.key_set import KeySet
from ticket_service.verification_keys import ASYMMETRIC_ALGORITHMS, VerificationKey, supported_algorithms

TOKEN_LENGTH_LIMIT = 16 * 1024
"""Characters; larger tokens are refused before they are decoded. HTTP servers take headers of 8 to 64 KiB."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class TokenVerifier(Protocol):
    """A way to decide which tokens are believed."""

    async def verify(self, authorization: str) -> Claims:
        """Checks the header and its token.

        Args:
            authorization: value of the header `Authorization`, as received; empty when it was missing.

        Raises:
            MissingTokenError: it is empty.
            InvalidTokenError: it does not hold a token that is valid now.
            KeysUnavailableError: the keys to decide that cannot be had now.
        """


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization: Bearer <token>`, exactly two parts, the scheme in any case.

    Raises:
        MissingTokenError: the header is empty.
        InvalidTokenError: another form or scheme, or a token that is too large.
    """
    if not authorization:
        raise MissingTokenError("no authorization")
    parts = authorization.split(" ")
    if len(parts) != 2 or parts[0].lower() != "bearer" or not parts[1]:
        raise InvalidTokenError("authorization is not a bearer token")
    if len(parts[1]) > TOKEN_LENGTH_LIMIT:
        raise InvalidTokenError("token is too large")
    return parts[1]


class SignedTokens:
    """Believes tokens that one of the keys has signed.

    Args:
        keys: configured keys.
        key_set: published keys, or None.
        pinned: algorithms the operator allows for published keys; empty: all asymmetric ones.
        issuer: what `iss` must be; empty: anything.
        audience: what `aud` must hold; empty: anything.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        keys: Sequence[VerificationKey],
        key_set: KeySet | None = None,
        *,
        pinned: frozenset[str] = frozenset(),
        issuer: str = "",
        audience: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Binds the keys; nothing is fetched."""
        self._keys = tuple(keys)
        self._key_set = key_set
        self._key_set_algorithms = (pinned or ASYMMETRIC_ALGORITHMS) & ASYMMETRIC_ALGORITHMS
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=sorted(supported_algorithms()))

    async def verify(self, authorization: str) -> Claims:
        """See `TokenVerifier.verify`."""
        token = bearer_token(authorization)
        payload = parse_payload(await self._signed_payload(token))
        now = self._clock()
        claims = read_claims(payload, now)
        check_validity_start(payload, now)
        if self._issuer:
            check_issuer(payload, self._issuer)
        if self._audience:
            check_audience(payload, self._audience)
        return claims

    async def _signed_payload(self, token: str) -> bytes:
        algorithm, key_id = self._header(token)
        payload = self._try_keys(token, algorithm, key_id, self._keys)
        if payload is None and self._key_set is not None and algorithm in self._key_set_algorithms:
            payload = self._try_keys(token, algorithm, key_id, self._key_set.current_keys())
            if payload is None:
                # The issuer may have changed its keys; some do so under an old `kid`, or use none.
                refreshed = await self._key_set.refreshed_keys()
                payload = None if refreshed is None else self._try_keys(token, algorithm, key_id, refreshed)
        if payload is None:
            raise InvalidTokenError("no key verifies the signature")
        return payload

    def _header(self, token: str) -> tuple[str, str | None]:
        try:
            header: dict[str, Any] = self._jws.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise InvalidTokenError("token is malformed") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str):
            raise InvalidTokenError("token names no algorithm")
        return algorithm, key_id if isinstance(key_id, str) else None

    def _try_keys(
        self, token: str, algorithm: str, key_id: str | None, keys: Sequence[VerificationKey]
    ) -> bytes | None:
        """The payload, once one of the keys that may verify this algorithm has verified it."""
        for key in keys:
            if algorithm not in key.algorithms or (key.key_id is not None and key_id not in (None, key.key_id)):
                continue
            try:
                verified = self._jws.decode_complete(token, key.key, algorithms=sorted(key.algorithms))
            except (jwt.PyJWTError, ValueError, RecursionError):
                continue
            payload: bytes = verified["payload"]
            return payload
        return None


class GatewayTokens:
    """Believes every token: a gateway in front has checked it. Header and signature are not looked at.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Needs no keys."""
        self._clock = clock

    async def verify(self, authorization: str) -> Claims:
        """See `TokenVerifier.verify`; never raises KeysUnavailableError."""
        parts = bearer_token(authorization).split(".")
        if len(parts) < 2:
            raise InvalidTokenError("token is malformed")
        return read_claims(parse_payload(_base64url(parts[1])), self._clock())


def _base64url(text: str) -> bytes:
    """Decodes base64url with or without padding (RFC 7515, section 2, has none)."""
    if _BASE64URL.fullmatch(text) is None:
        raise InvalidTokenError("payload is not base64url")
    digits = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    except binascii.Error:
        raise InvalidTokenError("payload is not base64url") from None
