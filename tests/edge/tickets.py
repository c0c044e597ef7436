"""A ticket service for tests of the edge alone: a real gRPC server, whose tickets and tokens say what they grant."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from runtime.grpc_server import GrpcServer

Answer = TypeVar("Answer")

SERVICE = "kafka_ws.ticket.v1.TicketService"


@dataclass(frozen=True)
class Resumable:
    """What a resume credential stands for."""

    grant: ticket_pb2.Grant
    topic: str


class Refused(Exception):  # noqa: N818
    """A call ends with UNAUTHENTICATED and this text."""


class Tickets(ticket_pb2_grpc.TicketServiceServicer):
    """Redeems any ticket `<tenant>:<anything>` once, believes any token of that form; `expires_at_ms` is its expiry."""

    def __init__(self) -> None:
        self.expires_at_ms = 0
        self.is_failing = False
        """Answer with an error nobody has foreseen, instead of issuing, verifying or resuming."""
        self.resumable: dict[str, Resumable] = {}
        """By the credentials issued; deleting one revokes it."""
        self.takes_batches = True
        self.batches: list[int] = []
        """How many calls came in each message."""
        self._used: set[str] = set()
        self._calls: dict[str, Callable[[Any], Any]] = {
            "issue_ticket": self._issue,
            "redeem_ticket": self._redeem,
            "verify_token": self._verify,
            "resume_grant": self._resume,
        }
        self._server: GrpcServer | None = None

    async def start(self) -> str:
        """Listen; returns `host:port`."""
        self._server = GrpcServer("127.0.0.1", 0, None, [SERVICE])
        ticket_pb2_grpc.add_TicketServiceServicer_to_server(self, self._server.server)
        address = await self._server.start()
        await self._server.set_serving(True)
        return address

    async def set_serving(self, serving: bool) -> None:
        """Report another health."""
        assert self._server is not None
        await self._server.set_serving(serving)

    async def stop(self) -> None:
        """End at once."""
        if self._server is not None:
            await self._server.server.stop(None)

    async def Batch(  # noqa: N802
        self, request: ticket_pb2.BatchRequest, context: Any
    ) -> AsyncIterator[ticket_pb2.BatchResponse]:
        if not self.takes_batches:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        self.batches.append(len(request.calls))
        answers = []
        for number, call in enumerate(request.calls):
            name = call.WhichOneof("call")
            assert name is not None
            try:
                answer: Any = {name: self._calls[name](getattr(call, name))}
            except Refused as refused:
                code, _ = grpc.StatusCode.UNAUTHENTICATED.value
                answer = {"failure": ticket_pb2.Failure(code=code, message=str(refused))}
            answers.append(ticket_pb2.BatchedAnswer(call=number, **answer))
        yield ticket_pb2.BatchResponse(answers=answers)

    async def IssueTicket(self, request: ticket_pb2.IssueTicketRequest, context: Any) -> ticket_pb2.IssueTicketResponse:  # noqa: N802
        return await _or_abort(lambda: self._issue(request), context)

    async def RedeemTicket(  # noqa: N802
        self, request: ticket_pb2.RedeemTicketRequest, context: Any
    ) -> ticket_pb2.RedeemTicketResponse:
        return await _or_abort(lambda: self._redeem(request), context)

    async def VerifyToken(self, request: ticket_pb2.VerifyTokenRequest, context: Any) -> ticket_pb2.VerifyTokenResponse:  # noqa: N802
        return await _or_abort(lambda: self._verify(request), context)

    async def ResumeGrant(self, request: ticket_pb2.ResumeGrantRequest, context: Any) -> ticket_pb2.ResumeGrantResponse:  # noqa: N802
        return await _or_abort(lambda: self._resume(request), context)

    def _issue(self, request: ticket_pb2.IssueTicketRequest) -> ticket_pb2.IssueTicketResponse:
        self._fail()
        if not request.authorization:
            raise Refused("Missing JWT token")
        return ticket_pb2.IssueTicketResponse(ticket=request.authorization.partition(" ")[2])

    def _redeem(self, request: ticket_pb2.RedeemTicketRequest) -> ticket_pb2.RedeemTicketResponse:
        tenant, colon, _ = request.ticket.partition(":")
        if not colon or request.ticket in self._used:
            raise Refused("Invalid ticket")
        self._used.add(request.ticket)
        grant = self._grant(tenant)
        return ticket_pb2.RedeemTicketResponse(
            grant=grant, resume_credential=self._new_credential(grant, request.resume_topic)
        )

    def _verify(self, request: ticket_pb2.VerifyTokenRequest) -> ticket_pb2.VerifyTokenResponse:
        self._fail()
        if not request.authorization:
            raise Refused("Missing JWT token")
        scheme, _, token = request.authorization.partition(" ")
        tenant, colon, _ = token.partition(":")
        if scheme != "Bearer" or not colon:
            raise Refused("Invalid JWT token")
        grant = self._grant(tenant)
        return ticket_pb2.VerifyTokenResponse(
            grant=grant, resume_credential=self._new_credential(grant, request.resume_topic)
        )

    def _resume(self, request: ticket_pb2.ResumeGrantRequest) -> ticket_pb2.ResumeGrantResponse:
        self._fail()
        resumable = self.resumable.get(request.credential)
        if resumable is None or resumable.topic != request.topic:
            raise Refused("Invalid ticket")
        return ticket_pb2.ResumeGrantResponse(grant=resumable.grant)

    def _grant(self, tenant: str) -> ticket_pb2.Grant:
        return ticket_pb2.Grant(tenant=tenant, token_expires_at_ms=self.expires_at_ms)

    def _new_credential(self, grant: ticket_pb2.Grant, topic: str) -> str:
        if not topic.startswith(f"{grant.tenant}."):
            return ""
        credential = "kwr_" + secrets.token_urlsafe(18)
        self.resumable[credential] = Resumable(grant, topic)
        return credential

    def _fail(self) -> None:
        if self.is_failing:
            raise RuntimeError("a secret of the server")


async def _or_abort(answer: Callable[[], Answer], context: Any) -> Answer:
    try:
        return answer()
    except Refused as refused:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refused))
        raise AssertionError("abort raises") from None
