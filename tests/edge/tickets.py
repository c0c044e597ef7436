"""A ticket service for tests of the edge alone: a real gRPC server, whose tickets say what they grant."""

from typing import Any

import grpc
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from runtime.grpc_server import GrpcServer

SERVICE = "kafka_ws.ticket.v1.TicketService"


class Tickets(ticket_pb2_grpc.TicketServiceServicer):
    """Redeems any ticket `<tenant>:<anything>` once; `expires_at_ms` is its token's expiry."""

    def __init__(self) -> None:
        self.expires_at_ms = 0
        self.is_failing = False
        """Answer with an error nobody has foreseen."""
        self._used: set[str] = set()
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

    async def IssueTicket(self, request: ticket_pb2.IssueTicketRequest, context: Any) -> ticket_pb2.IssueTicketResponse:  # noqa: N802
        if self.is_failing:
            raise RuntimeError("a secret of the server")
        if not request.authorization:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Missing JWT token")
        return ticket_pb2.IssueTicketResponse(ticket=request.authorization.partition(" ")[2])

    async def RedeemTicket(  # noqa: N802
        self, request: ticket_pb2.RedeemTicketRequest, context: Any
    ) -> ticket_pb2.RedeemTicketResponse:
        tenant, colon, _ = request.ticket.partition(":")
        if not colon or request.ticket in self._used:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid ticket")
        self._used.add(request.ticket)
        return ticket_pb2.RedeemTicketResponse(
            grant=ticket_pb2.Grant(tenant=tenant, token_expires_at_ms=self.expires_at_ms)
        )
