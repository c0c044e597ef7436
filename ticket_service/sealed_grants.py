"""Grants in the store, sealed: only what this service has put there, for this purpose and place, comes back.

One `SealedGrants` per process, on the event loop, used by `ticket_service.servicer` for tickets and by
`ticket_service.resume_credential`. Neither expiry nor truth rests on Redis: both are checked here.
"""

import time
from collections.abc import Callable

import structlog

from ticket_service import metrics
from ticket_service.claims import Claims
from ticket_service.errors import InvalidTicketError
from ticket_service.grant import ForgedGrantError, Grant, Purpose, seal, unseal
from ticket_service.store import TicketStore

log = structlog.get_logger(__name__)


class SealedGrants:
    """Stores and fetches grants by the digest of what is presented for them.

    Args:
        store: where they are.
        sealing_key: of `ticket_service.grant.grant_key`.
        clock: seconds since the epoch.
    """

    def __init__(self, store: TicketStore, sealing_key: bytes, clock: Callable[[], float] = time.time) -> None:
        """Puts the parts together."""
        self._store = store
        self._sealing_key = sealing_key
        self._clock = clock

    async def put(
        self, purpose: Purpose, digest: bytes, claims: Claims, lifetime_sec: int, topic: str | None = None
    ) -> Grant:
        """Stores what the claims allow, for `lifetime_sec` seconds, and no longer than the token lives.

        Args:
            purpose: what will be presented for it.
            digest: 32 bytes, of what will be presented.
            claims: of the token that it comes from.
            lifetime_sec: upper bound of its life.
            topic: the only topic it shall be good for; None: whichever the tenant may read.

        Raises:
            StoreUnavailableError: the store is away; it may have been stored.
        """
        now_ms = self._now_ms()
        expires_at_ms = min(now_ms + lifetime_sec * 1000, claims.expires_at_ms)
        grant = Grant(claims.tenant, claims.expires_at_ms, expires_at_ms, topic)
        sealed = seal(grant, purpose, digest, self._sealing_key)
        await self._store.put(purpose, digest, sealed, expires_at_ms - now_ms)
        return grant

    async def take(self, purpose: Purpose, digest: bytes) -> Grant:
        """Takes a grant out of the store; of any number of takers one gets it.

        Raises:
            InvalidTicketError: there is none that may be believed and is valid now.
            StoreUnavailableError: the store is away; the grant may be gone.
        """
        sealed = await self._store.take(purpose, digest)
        if sealed is None:
            raise InvalidTicketError("unknown, used or expired")
        return self._opened(sealed, purpose, digest)

    async def read(self, purpose: Purpose, digest: bytes) -> Grant:
        """A grant, which stays in the store.

        Raises:
            InvalidTicketError: there is none that may be believed and is valid now.
            StoreUnavailableError: the store is away.
        """
        sealed = await self._store.read(purpose, digest)
        if sealed is None:
            raise InvalidTicketError("unknown, revoked or expired")
        return self._opened(sealed, purpose, digest)

    def _opened(self, sealed: bytes, purpose: Purpose, digest: bytes) -> Grant:
        try:
            grant = unseal(sealed, purpose, digest, self._sealing_key)
        except ForgedGrantError:
            metrics.FORGED_GRANTS.inc()
            log.warning(
                "stored grant is forged",
                purpose=purpose.value,
                hint="others write into this Redis, or replicas differ in KAFKA_WS_TICKET_GRANT_SECRET",
            )
            raise InvalidTicketError("forged") from None
        if min(grant.expires_at_ms, grant.token_expires_at_ms) <= self._now_ms():
            raise InvalidTicketError("expired")
        return grant

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
