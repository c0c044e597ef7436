"""Grants as they are stored: authenticated, so that what others write into Redis is not believed.

Pure; called by `ticket_service.sealed_grants`. A sealed grant is

    version (1 byte)  |  HMAC-SHA256 (32 bytes)  |  body (JSON)

The code covers the purpose, the digest that the grant is stored under, and the body. So a grant cannot be moved to
another ticket or credential, nor one made for one purpose be passed off as made for another. The body holds its own
expiry: a store that forgets the TTL prolongs nothing.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ticket_service.claims import Claims

_VERSION = b"\x01"
_CODE_BYTES = hashlib.sha256().digest_size
_HKDF_INFO = b"kafka_ws ticket_service stored grants"


class Purpose(StrEnum):
    """What presents itself for a stored grant. Part of the grant's seal, and of its key in the store."""

    TICKET = "ticket"
    RESUME = "resume"


class ForgedGrantError(ValueError):
    """A stored grant was not sealed with our key for this purpose and place."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a ticket or a resume credential stands for.

    Attributes:
        tenant: topics that start with `<tenant>.` may be read.
        token_expires_at_ms: end of the token's life, ms since the epoch.
        expires_at_ms: end of the grant's own life, ms since the epoch; never after the token's.
        topic: the only topic it is good for; None: whichever the tenant may read.
    """

    tenant: str
    token_expires_at_ms: int
    expires_at_ms: int
    topic: str | None = None

    @property
    def claims(self) -> Claims:
        """Those of the token that the grant comes from."""
        return Claims(self.tenant, self.token_expires_at_ms)


def grant_key(secret: str) -> bytes:
    """The key that grants are sealed with (32 bytes), from a secret of any length (HKDF, RFC 5869).

    Derived, so that a secret that serves another end as well, such as verifying tokens, is used for one thing only.
    """
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_HKDF_INFO).derive(secret.encode())


def seal(grant: Grant, purpose: Purpose, digest: bytes, key: bytes) -> bytes:
    """The bytes to store.

    Args:
        grant: what to store.
        purpose: what will be presented for it.
        digest: the 32 bytes it is stored under.
        key: of `grant_key`.
    """
    members: dict[str, str | int] = {
        "tenant": grant.tenant,
        "token_exp": grant.token_expires_at_ms,
        "exp": grant.expires_at_ms,
    }
    if grant.topic is not None:
        members["topic"] = grant.topic
    body = json.dumps(members, separators=(",", ":")).encode()
    return _VERSION + _code(body, purpose, digest, key) + body


def unseal(sealed: bytes, purpose: Purpose, digest: bytes, key: bytes) -> Grant:
    """The grant that was sealed with the same `purpose`, `digest` and `key`.

    Raises:
        ForgedGrantError: these bytes were not.
    """
    code, body = sealed[1 : 1 + _CODE_BYTES], sealed[1 + _CODE_BYTES :]
    if sealed[:1] != _VERSION or not hmac.compare_digest(code, _code(body, purpose, digest, key)):
        raise ForgedGrantError("not sealed by this service for this place")
    members = json.loads(body)
    return Grant(members["tenant"], members["token_exp"], members["exp"], members.get("topic"))


def _code(body: bytes, purpose: Purpose, digest: bytes, key: bytes) -> bytes:
    # Each part but the last has its length in front: no two different inputs give the same bytes.
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (_VERSION, purpose.encode(), digest))
    return hmac.digest(key, parts + body, hashlib.sha256)
