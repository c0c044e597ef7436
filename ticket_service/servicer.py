"""The two calls of `kafka_ws.ticket.v1.TicketService`, on the event loop of the gRPC server.

Each call does its work in one method of `Tickets`, which knows nothing of gRPC; `TicketServicer` translates requests,
answers and errors. Neither tickets nor tokens are logged.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import grpc
import grpc.aio
import structlog
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from ticket_service import metrics
from ticket_service.errors import (
    InvalidTicketError,
    KeysUnavailableError,
    MissingTicketError,
    MissingTokenError,
    RefusedError,
    UnavailableError,
)
from ticket_service.grant import ForgedGrantError, Grant, seal, unseal
from ticket_service.store import TicketStore
from ticket_service.ticket import is_ticket, new_ticket, ticket_digest
from ticket_service.token_verifier import TokenVerifier

log = structlog.get_logger(__name__)

SERVICE_NAME = ticket_pb2.DESCRIPTOR.services_by_name["TicketService"].full_name

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A ticket, and until when it is valid (ms since the epoch)."""

    ticket: str
    expires_at_ms: int


class Tickets:
    """Issues and redeems tickets.

    Args:
        verifier: decides which tokens are believed.
        store: where unused tickets wait.
        sealing_key: of `ticket_service.grant.grant_key`.
        lifetime_sec: of an unused ticket.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        store: TicketStore,
        sealing_key: bytes,
        lifetime_sec: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Puts the parts together."""
        self._verifier = verifier
        self._store = store
        self._sealing_key = sealing_key
        self._lifetime_ms = lifetime_sec * 1000
        self._clock = clock

    async def issue(self, authorization: str) -> IssuedTicket:
        """A new ticket for the tenant of the token; it lives no longer than the token.

        Raises:
            MissingTokenError, InvalidTokenError: the token is not believed.
            UnavailableError: keys or store are away.
        """
        claims = await self._verifier.verify(authorization)
        now_ms = self._now_ms()
        expires_at_ms = min(now_ms + self._lifetime_ms, claims.expires_at_ms)
        grant = Grant(claims.tenant, claims.expires_at_ms, expires_at_ms)
        ticket = new_ticket()
        digest = ticket_digest(ticket)
        await self._store.put(digest, seal(grant, digest, self._sealing_key), expires_at_ms - now_ms)
        return IssuedTicket(ticket, expires_at_ms)

    async def redeem(self, ticket: str) -> Grant:
        """Takes the ticket out of the store, once.

        Raises:
            MissingTicketError, InvalidTicketError: it grants nothing, now or ever.
            StoreUnavailableError: the store is away; the ticket may have been used up.
        """
        if not ticket:
            raise MissingTicketError("no ticket")
        if not is_ticket(ticket):
            raise InvalidTicketError("malformed")
        digest = ticket_digest(ticket)
        sealed = await self._store.take(digest)
        if sealed is None:
            raise InvalidTicketError("unknown, used or expired")
        try:
            grant = unseal(sealed, digest, self._sealing_key)
        except ForgedGrantError:
            metrics.FORGED_GRANTS.inc()
            log.warning(
                "stored grant is forged",
                hint="others write into this Redis, or replicas differ in KAFKA_WS_TICKET_GRANT_SECRET",
            )
            raise InvalidTicketError("forged") from None
        if min(grant.expires_at_ms, grant.token_expires_at_ms) <= self._now_ms():
            raise InvalidTicketError("expired")
        return grant

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


class TicketServicer(ticket_pb2_grpc.TicketServiceServicer):
    """The gRPC side of `Tickets`."""

    def __init__(self, tickets: Tickets) -> None:
        """Serves these tickets."""
        self._tickets = tickets

    async def IssueTicket(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.IssueTicketRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.IssueTicketResponse:
        """Verifies a token and issues a ticket for its tenant."""
        issued = await _answer("issue", self._tickets.issue(request.authorization), context)
        return ticket_pb2.IssueTicketResponse(ticket=issued.ticket, expires_at_ms=issued.expires_at_ms)

    async def RedeemTicket(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.RedeemTicketRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.RedeemTicketResponse:
        """Takes a ticket out of the store and returns what it grants."""
        grant = await _answer("redeem", self._tickets.redeem(request.ticket), context)
        return ticket_pb2.RedeemTicketResponse(
            grant=ticket_pb2.Grant(tenant=grant.tenant, token_expires_at_ms=grant.token_expires_at_ms)
        )


async def _answer(
    rpc: str,
    work: Awaitable[AnswerT],
    context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
) -> AnswerT:
    """The result of the work, or the end of the call with the status of its error."""
    with metrics.CALL_SECONDS.labels(rpc).time():
        try:
            answer = await work
        except RefusedError as error:
            missing = isinstance(error, MissingTokenError | MissingTicketError)
            log.info("refused", rpc=rpc, reason=error.reason)
            await _abort(context, rpc, "missing" if missing else "invalid", grpc.StatusCode.UNAUTHENTICATED, str(error))
        except UnavailableError as error:
            log.warning("unavailable", rpc=rpc, reason=str(error))
            what = (
                "The keys to verify tokens with cannot be had at this moment."
                if isinstance(error, KeysUnavailableError)
                else "The ticket store cannot be reached at this moment."
            )
            await _abort(context, rpc, "unavailable", grpc.StatusCode.UNAVAILABLE, what)
        except Exception:
            log.exception("call failed", rpc=rpc)
            await _abort(context, rpc, "internal", grpc.StatusCode.INTERNAL, "Internal error")
    metrics.CALLS.labels(rpc, "ok").inc()
    return answer


async def _abort(
    context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    rpc: str,
    outcome: str,
    code: grpc.StatusCode,
    details: str,
) -> NoReturn:
    metrics.CALLS.labels(rpc, outcome).inc()
    await context.abort(code, details)
