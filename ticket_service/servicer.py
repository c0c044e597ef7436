"""The calls of `kafka_ws.ticket.v1.TicketService`, on the event loop of the gRPC server.

Each call does its work in one method of `Tickets`, which knows nothing of gRPC; `TicketServicer` translates requests,
answers and errors. Neither tickets nor tokens nor resume credentials are logged.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import grpc
import grpc.aio
import structlog
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from ticket_service import metrics
from ticket_service.claims import Claims
from ticket_service.errors import (
    InvalidTicketError,
    KeysUnavailableError,
    MissingTicketError,
    MissingTokenError,
    RefusedError,
    UnavailableError,
)
from ticket_service.grant import Purpose
from ticket_service.resume_credential import ResumeCredentials
from ticket_service.sealed_grants import SealedGrants
from ticket_service.ticket import is_ticket, new_ticket, ticket_digest
from ticket_service.token_verifier import TokenVerifier

log = structlog.get_logger(__name__)

SERVICE_NAME = ticket_pb2.DESCRIPTOR.services_by_name["TicketService"].full_name

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A ticket, and until when it is valid (ms since the epoch)."""

    ticket: str = field(repr=False)
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What a client may read.

    Attributes:
        claims: of the client's token.
        resume_credential: admits it again to the topic it asked that for; empty when none was issued.
    """

    claims: Claims
    resume_credential: str = field(repr=False)


class Tickets:
    """Decides who is let in: by a token, by a ticket, by a resume credential.

    Args:
        verifier: decides which tokens are believed.
        grants: where unused tickets wait.
        resume_credentials: what admits again.
        lifetime_sec: of an unused ticket.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        grants: SealedGrants,
        resume_credentials: ResumeCredentials,
        lifetime_sec: int,
    ) -> None:
        """Puts the parts together."""
        self._verifier = verifier
        self._grants = grants
        self._resume_credentials = resume_credentials
        self._lifetime_sec = lifetime_sec

    async def issue(self, authorization: str) -> IssuedTicket:
        """A new ticket for the tenant of the token; it lives no longer than the token.

        Raises:
            MissingTokenError, InvalidTokenError: the token is not believed.
            UnavailableError: keys or store are away.
        """
        claims = await self._verifier.verify(authorization)
        ticket = new_ticket()
        grant = await self._grants.put(Purpose.TICKET, ticket_digest(ticket), claims, self._lifetime_sec)
        return IssuedTicket(ticket, grant.expires_at_ms)

    async def redeem(self, ticket: str, resume_topic: str = "") -> Admission:
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
        if not resume_topic:
            return Admission((await self._grants.take(Purpose.TICKET, digest)).claims, "")
        # The ticket goes last: while the store does not keep the credential, it stays good.
        admission = await self._admission((await self._grants.read(Purpose.TICKET, digest)).claims, resume_topic)
        try:
            await self._grants.take(Purpose.TICKET, digest)
        except InvalidTicketError:
            # Another call has been quicker, and has a credential of its own.
            await self._resume_credentials.withdraw(admission.resume_credential)
            raise
        return admission

    async def verify(self, authorization: str, resume_topic: str = "") -> Admission:
        """Lets a client in by its token alone. The store is used only to issue a resume credential.

        Raises:
            MissingTokenError, InvalidTokenError: the token is not believed.
            UnavailableError: keys or store are away.
        """
        return await self._admission(await self._verifier.verify(authorization), resume_topic)

    async def resume(self, credential: str, topic: str) -> Claims:
        """What the resume credential was issued for; it stays valid.

        Raises:
            InvalidTicketError: it does not admit to this topic, or no longer.
            StoreUnavailableError: the store is away.
        """
        return await self._resume_credentials.redeem(credential, topic)

    async def _admission(self, claims: Claims, resume_topic: str) -> Admission:
        return Admission(claims, await self._resume_credentials.issue(claims, resume_topic))


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
        admission = await _answer("redeem", self._tickets.redeem(request.ticket, request.resume_topic), context)
        return ticket_pb2.RedeemTicketResponse(
            grant=_grant(admission.claims), resume_credential=admission.resume_credential
        )

    async def VerifyToken(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.VerifyTokenRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.VerifyTokenResponse:
        """Verifies a token and returns what it allows."""
        admission = await _answer("verify", self._tickets.verify(request.authorization, request.resume_topic), context)
        return ticket_pb2.VerifyTokenResponse(
            grant=_grant(admission.claims), resume_credential=admission.resume_credential
        )

    async def ResumeGrant(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.ResumeGrantRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.ResumeGrantResponse:
        """Returns what a resume credential stands for."""
        claims = await _answer("resume", self._tickets.resume(request.credential, request.topic), context)
        return ticket_pb2.ResumeGrantResponse(grant=_grant(claims))


def _grant(claims: Claims) -> ticket_pb2.Grant:
    return ticket_pb2.Grant(tenant=claims.tenant, token_expires_at_ms=claims.expires_at_ms)


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
