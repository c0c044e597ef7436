"""Resume credentials: what admits a client to one topic again, when its ticket is used up.

A browser's `EventSource` repeats the URL with the used ticket; the credential is in its `Last-Event-ID`. Called by the
servicer, on the event loop. A credential is `kwr_` and 18 random bytes in URL-safe base64 (28 characters, no padding,
no dot); by how it begins, redaction and secret scanners know it wherever it turns up. The store holds its SHA-256 and
what it stands for: tenant, topic, the token's expiry. It may be presented any number of times, for its topic, until
the token expires, its longest life ends, or its entry is deleted from Redis.
"""

import hashlib
import re
import secrets

from ticket_service import metrics
from ticket_service.claims import Claims
from ticket_service.errors import InvalidTicketError
from ticket_service.grant import Purpose
from ticket_service.sealed_grants import SealedGrants

_PREFIX = "kwr_"
"""Kafka WS, resume. `runtime.redaction` blanks what begins so."""

_RANDOM_BYTES = 18
"""144 bits, beyond guessing; a multiple of 3, so that base64 has no spare bits and every text is another credential.

Not more, as every server-sent event carries it.
"""
_CREDENTIAL = re.compile(_PREFIX + r"[A-Za-z0-9_-]{24}")
_TOPIC_LENGTH_LIMIT = 249
"""Characters; Kafka's. Bounds what a client can make us store."""


def new_credential() -> str:
    """A fresh credential from the system's secure random source."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def is_credential(text: str) -> bool:
    """Whether a text has the form of a credential; anything else was never issued."""
    return _CREDENTIAL.fullmatch(text) is not None


def credential_digest(credential: str) -> bytes:
    """SHA-256 (32 bytes) of a credential: the name it is stored under, from which it cannot be computed back."""
    return hashlib.sha256(credential.encode("ascii")).digest()


class ResumeCredentials:
    """Issues credentials, and says what they stand for.

    Args:
        grants: where that is stored.
        lifetime_sec: of a credential, at most; its token's expiry may end it earlier.
    """

    def __init__(self, grants: SealedGrants, lifetime_sec: int) -> None:
        """Puts the parts together."""
        self._grants = grants
        self._lifetime_sec = lifetime_sec

    async def issue(self, claims: Claims, topic: str) -> str:
        """A new credential for the topic; empty when that cannot be a topic of the claims' tenant.

        Raises:
            StoreUnavailableError: the store is away.
        """
        if not topic.startswith(f"{claims.tenant}.") or len(topic) > _TOPIC_LENGTH_LIMIT:
            return ""
        credential = new_credential()
        await self._grants.put(Purpose.RESUME, credential_digest(credential), claims, self._lifetime_sec, topic)
        metrics.RESUME_CREDENTIALS.inc()
        return credential

    async def withdraw(self, credential: str) -> None:
        """Takes back a credential that nobody has been told; an empty one is none.

        Raises:
            StoreUnavailableError: the store is away; the entry stays until it expires.
        """
        if credential:
            await self._grants.take(Purpose.RESUME, credential_digest(credential))

    async def redeem(self, credential: str, topic: str) -> Claims:
        """The claims that the credential was issued for; it stays valid.

        Raises:
            InvalidTicketError: it admits to nothing, or not to this topic.
            StoreUnavailableError: the store is away.
        """
        if not is_credential(credential):
            raise InvalidTicketError("malformed")
        grant = await self._grants.read(Purpose.RESUME, credential_digest(credential))
        if grant.topic != topic:
            raise InvalidTicketError("issued for another topic")
        return grant.claims
