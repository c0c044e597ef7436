"""The calls of `kafka_ws.ticket.v1.TicketService`, on the event loop of the gRPC server.

Each call does its work in one method of `Tickets`, which knows nothing of gRPC; `TicketServicer` translates requests,
answers and errors. Neither tickets nor tokens nor resume credentials are logged.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message
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

BATCH_LIMIT = 1_000
"""Calls of one `Batch`."""

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


class CallFailedError(Exception):
    """A call ends with a status.

    Args:
        code: the status.
        message: its text; the client's to read when `code` is UNAUTHENTICATED.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        """Takes the status."""
        super().__init__(code, message)
        self.code = code
        self.message = message


class TicketServicer(ticket_pb2_grpc.TicketServiceServicer):
    """The gRPC side of `Tickets`."""

    def __init__(self, tickets: Tickets) -> None:
        """Serves these tickets."""
        self._tickets = tickets
        # By the names of `BatchedCall.call` and `BatchedAnswer.answer`.
        self._calls: dict[str, Callable[[Any], Awaitable[Message]]] = {
            "issue_ticket": self._issue,
            "redeem_ticket": self._redeem,
            "verify_token": self._verify,
            "resume_grant": self._resume,
        }

    async def IssueTicket(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.IssueTicketRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.IssueTicketResponse:
        """Verifies a token and issues a ticket for its tenant."""
        return await _or_abort(self._issue(request), context)

    async def RedeemTicket(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.RedeemTicketRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.RedeemTicketResponse:
        """Takes a ticket out of the store and returns what it grants."""
        return await _or_abort(self._redeem(request), context)

    async def VerifyToken(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.VerifyTokenRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.VerifyTokenResponse:
        """Verifies a token and returns what it allows."""
        return await _or_abort(self._verify(request), context)

    async def ResumeGrant(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.ResumeGrantRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> ticket_pb2.ResumeGrantResponse:
        """Returns what a resume credential stands for."""
        return await _or_abort(self._resume(request), context)

    async def Batch(  # noqa: N802 - named by the contract
        self,
        request: ticket_pb2.BatchRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> AsyncIterator[ticket_pb2.BatchResponse]:
        """Answers each call as if it had come alone: one that waits, for keys say, holds up no other."""
        if len(request.calls) > BATCH_LIMIT:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"More than {BATCH_LIMIT} calls")
        waiting = {asyncio.create_task(self._batched(number, call)) for number, call in enumerate(request.calls)}
        try:
            while waiting:
                answered, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                yield ticket_pb2.BatchResponse(answers=[task.result() for task in answered])
        finally:
            for task in waiting:
                task.cancel()

    async def _batched(self, number: int, call: ticket_pb2.BatchedCall) -> ticket_pb2.BatchedAnswer:
        name = call.WhichOneof("call")
        if name is None:
            return ticket_pb2.BatchedAnswer(call=number, failure=_EMPTY_CALL)
        try:
            answer: Any = {name: await self._calls[name](getattr(call, name))}
        except CallFailedError as error:
            answer = {"failure": _failure(error.code, error.message)}
        return ticket_pb2.BatchedAnswer(call=number, **answer)

    async def _issue(self, request: ticket_pb2.IssueTicketRequest) -> ticket_pb2.IssueTicketResponse:
        issued = await _answer("issue", self._tickets.issue(request.authorization))
        return ticket_pb2.IssueTicketResponse(ticket=issued.ticket, expires_at_ms=issued.expires_at_ms)

    async def _redeem(self, request: ticket_pb2.RedeemTicketRequest) -> ticket_pb2.RedeemTicketResponse:
        admission = await _answer("redeem", self._tickets.redeem(request.ticket, request.resume_topic))
        return ticket_pb2.RedeemTicketResponse(
            grant=_grant(admission.claims), resume_credential=admission.resume_credential
        )

    async def _verify(self, request: ticket_pb2.VerifyTokenRequest) -> ticket_pb2.VerifyTokenResponse:
        admission = await _answer("verify", self._tickets.verify(request.authorization, request.resume_topic))
        return ticket_pb2.VerifyTokenResponse(
            grant=_grant(admission.claims), resume_credential=admission.resume_credential
        )

    async def _resume(self, request: ticket_pb2.ResumeGrantRequest) -> ticket_pb2.ResumeGrantResponse:
        claims = await _answer("resume", self._tickets.resume(request.credential, request.topic))
        return ticket_pb2.ResumeGrantResponse(grant=_grant(claims))


def _failure(code: grpc.StatusCode, message: str) -> ticket_pb2.Failure:
    number, _ = code.value
    return ticket_pb2.Failure(code=number, message=message)


_EMPTY_CALL = _failure(grpc.StatusCode.INVALID_ARGUMENT, "Empty call")


def _grant(claims: Claims) -> ticket_pb2.Grant:
    return ticket_pb2.Grant(tenant=claims.tenant, token_expires_at_ms=claims.expires_at_ms)


async def _answer(rpc: str, work: Awaitable[AnswerT]) -> AnswerT:
    """The result of the work.

    Raises:
        CallFailedError: with the status of the work's error.
    """
    with metrics.CALL_SECONDS.labels(rpc).time():
        try:
            answer = await work
        except RefusedError as error:
            log.info("refused", rpc=rpc, reason=error.reason)
            missing = isinstance(error, MissingTokenError | MissingTicketError)
            outcome = "missing" if missing else "invalid"
            failed = CallFailedError(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except UnavailableError as error:
            log.warning("unavailable", rpc=rpc, reason=str(error))
            outcome = "unavailable"
            failed = CallFailedError(
                grpc.StatusCode.UNAVAILABLE,
                "The keys to verify tokens with cannot be had at this moment."
                if isinstance(error, KeysUnavailableError)
                else "The ticket store cannot be reached at this moment.",
            )
        except Exception:
            log.exception("call failed", rpc=rpc)
            outcome, failed = "internal", CallFailedError(grpc.StatusCode.INTERNAL, "Internal error")
        else:
            metrics.CALLS.labels(rpc, "ok").inc()
            return answer
    metrics.CALLS.labels(rpc, outcome).inc()
    raise failed


async def _or_abort(
    answer: Awaitable[AnswerT],
    context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
) -> AnswerT:
    """The answer, or the end of the call with its status."""
    try:
        return await answer
    except CallFailedError as error:
        await context.abort(error.code, error.message)
        raise AssertionError("abort raises") from None
