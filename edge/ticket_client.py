"""The ticket service as the edge sees it: issuing, redeeming, and whether it can.

One `TicketClient` per process, on the event loop. What clients want in one turn of it goes as one `Batch`. Tokens and
tickets pass through and are never logged.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kafka_ws.ticket.v1 import ticket_pb2, ticket_pb2_grpc

from edge.backoff import Backoff
from edge.config import EdgeSettings
from edge.errors import RefusedError, UnavailableError
from runtime import tls
from runtime.gathering import Gathering, Question
from runtime.grpc_server import CHANNEL_OPTIONS

_log = structlog.get_logger(__name__)

_SERVICE = "kafka_ws.ticket.v1.TicketService"
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
_STATUSES = {status.value[0]: status for status in grpc.StatusCode}

_BATCH_BYTES = 64 * 1024
"""Of the calls that go as one message. What a client sends may be as large as `server_max_header_size`: nobody's call
shall fail because of another's."""
_CALL_BYTES = 1024
"""Counted for each call besides, so that the first of many is answered before the last is looked at."""


class _CallFailedError(Exception):
    """A call has ended with a status."""

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        """Takes the status, and its text."""
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Admission:
    """Who a client is, and how it may come back.

    Attributes:
        grant: tenant, and when its token expires.
        credential: resume credential; empty: it has none. Secret.
    """

    grant: ticket_pb2.Grant
    credential: str


class TicketClient:
    """Calls the ticket service.

    Args:
        settings: address, credentials and deadline.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        """Connects when it is first needed."""
        # Every address of the name takes its share of the calls.
        options: list[tuple[str, str | int]] = [*CHANNEL_OPTIONS, ("grpc.lb_policy_name", "round_robin")]
        credentials = tls.channel_credentials(settings)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(settings.ticket_address, options=options)
        else:
            self._channel = grpc.aio.secure_channel(settings.ticket_address, credentials, options=options)
        self._stub = ticket_pb2_grpc.TicketServiceStub(self._channel)
        # By the names of `BatchedCall.call` and `BatchedAnswer.answer`.
        self._single_calls: dict[str, Any] = {
            "issue_ticket": self._stub.IssueTicket,
            "redeem_ticket": self._stub.RedeemTicket,
            "verify_token": self._stub.VerifyToken,
            "resume_grant": self._stub.ResumeGrant,
        }
        # Its typed stub knows only the blocking calls.
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        self._calls: Gathering[ticket_pb2.BatchedCall, ticket_pb2.BatchedAnswer] = Gathering(
            self._batch, limit=_BATCH_BYTES, weigh=lambda call: _CALL_BYTES + call.ByteSize()
        )
        self._timeout_sec = settings.ticket_timeout_sec
        self._is_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether the service has said that it is healthy, and has not gone since."""
        return self._is_ready

    async def issue(self, authorization: str) -> str:
        """A ticket for a token.

        Args:
            authorization: value of the request's `Authorization`; empty when it had none.

        Raises:
            RefusedError: 401, with the message for the client.
            UnavailableError: the service or its store is away.
        """
        request = ticket_pb2.IssueTicketRequest(authorization=authorization)
        return (await self._call(ticket_pb2.BatchedCall(issue_ticket=request))).issue_ticket.ticket

    async def redeem(self, ticket: str, resume_topic: str = "") -> Admission:
        """What a ticket grants; it is used up.

        Args:
            ticket: as the client has sent it.
            resume_topic: topic to get a resume credential for; empty: none.

        Raises:
            RefusedError: 401, with the message for the client.
            UnavailableError: the service or its store is away.
        """
        request = ticket_pb2.RedeemTicketRequest(ticket=ticket, resume_topic=resume_topic)
        answer = (await self._call(ticket_pb2.BatchedCall(redeem_ticket=request))).redeem_ticket
        return Admission(answer.grant, answer.resume_credential)

    async def verify(self, authorization: str, resume_topic: str) -> Admission:
        """What a token allows. Arguments and errors as for `issue` and `redeem`."""
        request = ticket_pb2.VerifyTokenRequest(authorization=authorization, resume_topic=resume_topic)
        answer = (await self._call(ticket_pb2.BatchedCall(verify_token=request))).verify_token
        return Admission(answer.grant, answer.resume_credential)

    async def resume(self, credential: str, topic: str) -> Admission:
        """What a resume credential stands for; it stays good. Errors as for `redeem`."""
        request = ticket_pb2.ResumeGrantRequest(credential=credential, topic=topic)
        answer = (await self._call(ticket_pb2.BatchedCall(resume_grant=request))).resume_grant
        return Admission(answer.grant, credential)

    async def _call(self, call: ticket_pb2.BatchedCall) -> ticket_pb2.BatchedAnswer:
        try:
            return await self._calls.ask(call)
        except _CallFailedError as failed:
            if failed.status is grpc.StatusCode.UNAUTHENTICATED:
                raise RefusedError(HTTPStatus.UNAUTHORIZED, failed.message or "Unauthorized") from None
            if failed.status in _AWAY:
                _log.warning("the ticket service is away", status=failed.status.name, details=failed.message)
                raise UnavailableError("ticket service") from None
            raise

    async def _batch(self, questions: list[Question[ticket_pb2.BatchedCall, ticket_pb2.BatchedAnswer]]) -> None:
        """Asks the ticket service all at once."""
        request = ticket_pb2.BatchRequest(calls=[question.request for question in questions])
        try:
            async for response in self._stub.Batch(request, timeout=self._timeout_sec):
                for answer in response.answers:
                    if answer.HasField("failure"):
                        status = _STATUSES.get(answer.failure.code, grpc.StatusCode.UNKNOWN)
                        questions[answer.call].fail(_CallFailedError(status, answer.failure.message))
                    else:
                        questions[answer.call].answer(answer)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise _CallFailedError(error.code(), error.details() or "") from None
            # A ticket service that has not been updated yet.
            await asyncio.gather(*map(self._ask_alone, questions))

    async def _ask_alone(self, question: Question[ticket_pb2.BatchedCall, ticket_pb2.BatchedAnswer]) -> None:
        call = question.request
        name = str(call.WhichOneof("call"))
        try:
            answer = await self._single_calls[name](getattr(call, name), timeout=self._timeout_sec)
        except grpc.aio.AioRpcError as error:
            question.fail(_CallFailedError(error.code(), error.details() or ""))
        else:
            question.answer(ticket_pb2.BatchedAnswer(**{name: answer}))

    async def run(self) -> None:
        """Watches the service's health until cancelled."""
        backoff = Backoff()
        while True:
            try:
                async for answer in self._health.Watch(health_pb2.HealthCheckRequest(service=_SERVICE)):
                    backoff.succeeded()
                    self._set_ready(answer.status == health_pb2.HealthCheckResponse.SERVING)
            except grpc.aio.AioRpcError as error:
                _log.debug("no health from the ticket service", status=error.code().name, details=error.details())
            self._set_ready(False)
            await asyncio.sleep(backoff.delay())

    async def close(self) -> None:
        """Disconnects."""
        await self._channel.close()

    def _set_ready(self, is_ready: bool) -> None:
        if is_ready != self._is_ready:
            _log.info("ticket service", ready=is_ready)
        self._is_ready = is_ready
