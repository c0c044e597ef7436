"""The claims of a token: reading the payload strictly, and checking what this project needs of it.

Pure; called by `ticket_service.token_verifier` with payloads that may be hostile. Rules: behaviour, sections 1 and 3;
RFC 7519, section 4.1.
"""

import json
import math
import unicodedata
from dataclasses import dataclass
from typing import Any, NoReturn

from ticket_service.errors import InvalidTokenError

TENANT_LENGTH_LIMIT = 248
"""Characters. Topics start with `<tenant>.`, and Kafka's topic names have at most 249."""

_CLOCK_LEEWAY_SEC = 30.0
"""How far an issuer's clock may be ahead of ours in `nbf` and `iat` (RFC 7519, 4.1.5). `exp` has no leeway."""

_LATEST_EXPIRY_MS = 253_402_300_799_000
"""9999-12-31T23:59:59Z: later expiries are cut to this, so that they fit into every date type."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says.

    Attributes:
        tenant: the `service` claim; topics that start with `<tenant>.` may be read.
        expires_at_ms: the `exp` claim, in ms since the epoch.
    """

    tenant: str
    expires_at_ms: int


def parse_payload(payload: bytes) -> dict[str, Any]:
    """The JSON object of a token's payload, read strictly.

    Raises:
        InvalidTokenError: not UTF-8, not JSON (`NaN` and `Infinity` are not), nested too deep, not an object, or an
            object with a repeated member, of which two readers might believe different ones (RFC 7519, section 4).
    """
    try:
        value = json.loads(payload.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError):
        raise InvalidTokenError("payload is not strict JSON") from None
    if not isinstance(value, dict):
        raise InvalidTokenError("payload is not an object")
    return value


def read_claims(payload: dict[str, Any], now: float) -> Claims:
    """Checks `service` and `exp`.

    Args:
        payload: of `parse_payload`.
        now: seconds since the epoch.

    Raises:
        InvalidTokenError: one of them is missing, of another type, out of its range, or `exp` is not in the future.
    """
    return Claims(_tenant(payload.get("service")), _expiry_ms(payload.get("exp"), now))


def check_validity_start(payload: dict[str, Any], now: float) -> None:
    """Checks `nbf` and `iat`, where present: the token must be valid already.

    Raises:
        InvalidTokenError: one of them is not a finite number, or in the future.
    """
    for name in ("nbf", "iat"):
        if name in payload and _number(payload[name], name) > now + _CLOCK_LEEWAY_SEC:
            raise InvalidTokenError(f"{name} in the future")


def check_issuer(payload: dict[str, Any], issuer: str) -> None:
    """Checks that `iss` is the expected one.

    Raises:
        InvalidTokenError: it is not.
    """
    if payload.get("iss") != issuer:
        raise InvalidTokenError("wrong issuer")


def check_audience(payload: dict[str, Any], audience: str) -> None:
    """Checks that `aud`, a text or a list of texts, holds the expected one.

    Raises:
        InvalidTokenError: it does not.
    """
    value = payload.get("aud")
    if value != audience and not (isinstance(value, list) and audience in value):
        raise InvalidTokenError("wrong audience")


def _tenant(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidTokenError("service is not a non-empty text")
    if len(value) > TENANT_LENGTH_LIMIT:
        raise InvalidTokenError("service is too long")
    if "." in value:
        # Tenant `a.b` would share topics with tenant `a` (behaviour, section 3).
        raise InvalidTokenError("service holds a dot")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise InvalidTokenError("service holds control characters")
    return value


def _expiry_ms(value: object, now: float) -> int:
    expiry = _number(value, "exp")
    if expiry <= now:
        raise InvalidTokenError("expired")
    # Compared before it is multiplied: a float near the largest would overflow.
    return _LATEST_EXPIRY_MS if expiry >= _LATEST_EXPIRY_MS / 1000 else math.floor(expiry * 1000)


def _number(value: object, name: str) -> int | float:
    # bool is a subclass of int. An int is always finite, and may be too large for math.isfinite.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTokenError(f"{name} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidTokenError(f"{name} is not finite")
    return value


def _refuse_constant(_text: str) -> NoReturn:
    raise ValueError("not JSON")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members
