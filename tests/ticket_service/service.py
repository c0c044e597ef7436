"""The ticket service as a process, and a client that speaks to it over real gRPC."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from tests.processes import Process, inherited_environment

NAME = "kafka_ws.ticket.v1.TicketService"
PATIENCE_SEC = 30
"""A bound for waiting, so that a broken service fails the test; nothing is measured with it."""


def service_process(settings: Mapping[str, str], log_path: Path) -> Process:
    """`python -m ticket_service`, not started yet, with nothing but these settings."""
    environment = inherited_environment({"PYTHONUNBUFFERED": "1", **settings})
    return Process("ticket_service", [sys.executable, "-m", "ticket_service"], log_path=log_path, env=environment)


class Client:
    """Calls of the service, with errors as (status, text)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._tickets: ticket_pb2_grpc.TicketServiceAsyncStub = ticket_pb2_grpc.TicketServiceStub(channel)
        self._watch_health = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    async def issue(self, authorization: str) -> ticket_pb2.IssueTicketResponse:
        """IssueTicket."""
        return await self._tickets.IssueTicket(
            ticket_pb2.IssueTicketRequest(authorization=authorization), wait_for_ready=True, timeout=PATIENCE_SEC
        )

    async def redeem(self, ticket: str) -> ticket_pb2.Grant:
        """RedeemTicket."""
        return (await self.redeem_with(ticket, "")).grant

    async def redeem_with(self, ticket: str, resume_topic: str) -> ticket_pb2.RedeemTicketResponse:
        """RedeemTicket, asking for a resume credential."""
        return await self._tickets.RedeemTicket(
            ticket_pb2.RedeemTicketRequest(ticket=ticket, resume_topic=resume_topic),
            wait_for_ready=True,
            timeout=PATIENCE_SEC,
        )

    async def verify(self, authorization: str, resume_topic: str = "") -> ticket_pb2.VerifyTokenResponse:
        """VerifyToken."""
        return await self._tickets.VerifyToken(
            ticket_pb2.VerifyTokenRequest(authorization=authorization, resume_topic=resume_topic),
            wait_for_ready=True,
            timeout=PATIENCE_SEC,
        )

    async def resume(self, credential: str, topic: str) -> ticket_pb2.Grant:
        """ResumeGrant."""
        response = await self._tickets.ResumeGrant(
            ticket_pb2.ResumeGrantRequest(credential=credential, topic=topic), wait_for_ready=True, timeout=PATIENCE_SEC
        )
        return response.grant

    async def batch(self, calls: Sequence[ticket_pb2.BatchedCall]) -> AsyncIterator[list[ticket_pb2.BatchedAnswer]]:
        """Batch: the answers, as they come."""
        request = ticket_pb2.BatchRequest(calls=calls)
        async for response in self._tickets.Batch(request, wait_for_ready=True, timeout=PATIENCE_SEC):
            yield list(response.answers)

    async def issue_outcome(self, authorization: str) -> "tuple[str, str]":
        """(`OK`, ticket), or (name of the status, text)."""
        try:
            return "OK", (await self.issue(authorization)).ticket
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""

    async def redeem_outcome(self, ticket: str, resume_topic: str = "") -> "tuple[str, str]":
        """(`OK`, tenant), or (name of the status, text)."""
        try:
            return "OK", (await self.redeem_with(ticket, resume_topic)).grant.tenant
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""

    async def verify_outcome(self, authorization: str, resume_topic: str = "") -> "tuple[str, str]":
        """(`OK`, tenant), or (name of the status, text)."""
        try:
            return "OK", (await self.verify(authorization, resume_topic)).grant.tenant
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""

    async def resume_outcome(self, credential: str, topic: str) -> "tuple[str, str]":
        """(`OK`, tenant), or (name of the status, text)."""
        try:
            return "OK", (await self.resume(credential, topic)).tenant
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""

    async def wait_health(self, serving: bool, name: str = NAME) -> None:
        """Watches the health service until it says so."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        async with asyncio.timeout(PATIENCE_SEC):
            watch = self._watch_health(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)
            async for response in watch:
                if response.status == status:
                    watch.cancel()
                    return

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()
