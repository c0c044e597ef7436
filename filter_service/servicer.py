"""`kafka_ws.filter.v1.FilterService`: translates between gRPC messages and `subscriptions`. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from kafka_ws.filter.v1 import filter_pb2 as pb
from kafka_ws.filter.v1 import filter_pb2_grpc

from filter_service import messages, metrics
from filter_service.errors import DrainingError, SubscriptionIdError
from filter_service.language import LanguageError
from filter_service.outbox import Ended, Item
from filter_service.query_compiler import compile_query
from filter_service.rejections import rejection
from filter_service.requests import check_possible, checked
from filter_service.stream_writer import StreamWriter
from filter_service.subscriptions import Accepted, Subscriptions

log = structlog.get_logger(__name__)

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["FilterService"].full_name
REJECTION_METADATA = "kafka-ws-rejection-bin"
OPENS_AT_A_TIME = 100
"""Subscriptions of one session that may be opening; further requests of the session wait. Those that share a look-up in
Kafka go on all at once, some 0.1 ms each, and records wait meanwhile."""
SIGN_OF_LIFE_SEC = 2.0
"""Seconds between the messages that a session gets in any case (`Status` in the contract)."""
CONTROL_BACKLOG = 10_000
"""Answers that may wait for a session that does not read; further requests of the session wait."""


class FilterServicer(filter_pb2_grpc.FilterServiceServicer):
    """The three calls.

    Args:
        subscriptions: of the process.
        max_query_length: most characters of `where` or `fields`.
    """

    def __init__(self, subscriptions: Subscriptions, max_query_length: int) -> None:
        self._subscriptions = subscriptions
        self._max_query_length = max_query_length
        # With each stream, what ends it: set to the error that its client is told.
        self._sessions: dict[StreamWriter[pb.SessionResponse], asyncio.Future[BaseException]] = {}
        self._subscribers: dict[StreamWriter[pb.SubscribeResponse], asyncio.Future[BaseException | None]] = {}
        self._drained_at: float | None = None
        self.idle = asyncio.Event()
        """Set while no stream is open."""
        self.idle.set()

    def announce_status(self) -> None:
        """Tells every session whether Kafka is available."""
        for session in self._sessions:
            session.send(self._status())

    async def give_signs_of_life(self) -> None:
        """Lets edges tell a quiet replica from one that is out of reach, until cancelled."""
        while True:
            await asyncio.sleep(SIGN_OF_LIFE_SEC)
            for session in self._sessions:
                if not session.has_queued:
                    session.send(self._status())

    def announce_draining(self, grace_sec: float) -> None:
        """Tells every client to go elsewhere; records still flow for `grace_sec` seconds, until `end_streams`."""
        self._drained_at = asyncio.get_running_loop().time() + grace_sec
        draining = self._draining()
        for session in self._sessions:
            session.send(pb.SessionResponse(draining=draining))
        for subscriber in self._subscribers:
            subscriber.send(pb.SubscribeResponse(draining=draining))

    def end_streams(self) -> None:
        """Ends what is still open at the end of the grace period, with UNAVAILABLE."""
        ends: list[asyncio.Future[Any]] = [*self._sessions.values(), *self._subscribers.values()]
        for ended in ends:
            if not ended.done():
                ended.set_result(DrainingError())

    def _draining(self) -> pb.Draining:
        left = max(0.0, (self._drained_at or 0.0) - asyncio.get_running_loop().time())
        return pb.Draining(grace_ms=round(left * 1000))

    def _count(self, rpc: str, change: int) -> None:
        metrics.STREAMS.labels(rpc).inc(change)
        if self._sessions or self._subscribers:
            self.idle.clear()
        else:
            self.idle.set()

    # ---- Validate

    async def Validate(  # noqa: N802 (name given by the contract)
        self, request: pb.ValidateRequest, context: grpc.aio.ServicerContext[pb.ValidateRequest, pb.ValidateResponse]
    ) -> pb.ValidateResponse:
        """The canonical form of a query, or what is wrong with it."""
        try:
            rule, selection = await compile_query(request.query.where, request.query.fields, self._max_query_length)
        except LanguageError as error:
            return pb.ValidateResponse(rejection=rejection(error))
        fields = "" if selection is None else selection.canonical
        return pb.ValidateResponse(canonical=pb.Query(where=rule.canonical, fields=fields))

    # ---- Subscribe

    async def Subscribe(  # type: ignore[override]  # noqa: N802 (grpc.aio's other form: writes through the context)
        self, request: pb.SubscribeRequest, context: grpc.aio.ServicerContext[pb.SubscribeRequest, pb.SubscribeResponse]
    ) -> None:
        """One subscription, until the client goes away."""
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        """Result: why; None: everything before the stop has been told."""

        def convert(item: Item) -> Iterator[pb.SubscribeResponse]:
            if isinstance(item, Ended):
                if not ended.done():
                    ended.set_result(item.reason)
                return
            subscription = writer.stream.subscriptions.get(0)
            yield messages.for_subscriber(item, None if subscription is None else subscription.limit)
            # Control returns here when the message has been written.
            if messages.reached(item) and not ended.done():
                ended.set_result(None)

        def tell_opened(accepted: Accepted) -> None:
            writer.send(pb.SubscribeResponse(opened=messages.opened(0, accepted)))

        writer = StreamWriter[pb.SubscribeResponse](self._subscriptions, context.write, convert)
        self._subscribers[writer] = ended
        self._count("Subscribe", 1)
        writing: asyncio.Task[None] | None = None
        try:
            try:
                wanted = checked(request.subscription)
                check_possible(wanted.topic)
                await self._subscriptions.open(
                    writer.stream,
                    0,
                    wanted,
                    tell_opened,
                )
            except Exception as error:  # told to the client, whatever it is
                await _abort(context, error)
            if not writer.stream.subscriptions:
                # There is nothing before the stop.
                await writer.flush()
                return
            writing = asyncio.create_task(writer.run())
            waited: list[asyncio.Future[Any]] = [writing, ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                writing.result()
            elif (reason := ended.result()) is not None:
                await _abort(context, reason)
        finally:
            if writing is not None:
                writing.cancel()
            self._subscriptions.close_all(writer.stream)
            self._subscribers.pop(writer)
            self._count("Subscribe", -1)

    # ---- Session

    async def Session(  # type: ignore[override]  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.SessionRequest],
        context: grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse],
    ) -> None:
        """Many subscriptions of one edge, until it goes away."""
        subscriptions = self._subscriptions
        ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def convert(item: Item) -> Iterator[pb.SessionResponse]:
            if isinstance(item, Ended):
                yield from self._closed(writer, item)
                return
            message = messages.for_session(item)
            if message is not None:
                yield message
            for subscription in messages.reached(item) if writer.stream.limited else ():
                subscriptions.close(writer.stream, subscription.id)
                yield _completed(subscription.id)

        writer = StreamWriter[pb.SessionResponse](subscriptions, context.write, convert)
        writer.send(self._status())
        if subscriptions.draining:
            writer.send(pb.SessionResponse(draining=self._draining()))
        self._sessions[writer] = ended
        self._count("Session", 1)
        writing = asyncio.create_task(writer.run())
        reading = asyncio.create_task(self._read_requests(writer, request_iterator))
        try:
            waited: list[asyncio.Future[Any]] = [writing, reading, ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await _abort(context, ended.result())
            for task in (writing, reading):
                if task.done():
                    task.result()
        finally:
            self._sessions.pop(writer)
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)
            subscriptions.close_all(writer.stream)
            self._count("Session", -1)

    async def _read_requests(
        self, writer: StreamWriter[pb.SessionResponse], requests: AsyncIterator[pb.SessionRequest]
    ) -> None:
        opening: dict[int, asyncio.Task[None]] = {}
        try:
            async for request in _each(requests, writer):
                if len(opening) >= OPENS_AT_A_TIME:
                    await asyncio.wait(opening.values(), return_when=asyncio.FIRST_COMPLETED)
                await writer.below(CONTROL_BACKLOG)
                kind = request.WhichOneof("request")
                if kind == "open":
                    number = request.open.subscription_id
                    if number == 0 or number in opening or number in writer.stream.subscriptions:
                        writer.send(_rejected(number, SubscriptionIdError(number)))
                        continue
                    task = asyncio.create_task(self._open(writer, request.open))
                    opening[number] = task
                    task.add_done_callback(partial(_forget, opening, number))
                elif kind == "close":
                    number = request.close.subscription_id
                    if number in opening:
                        opening.pop(number).cancel()
                    self._subscriptions.close(writer.stream, number)
        finally:
            for task in list(opening.values()):
                task.cancel()

    async def _open(self, writer: StreamWriter[pb.SessionResponse], request: pb.Open) -> None:
        number = request.subscription_id

        def tell_opened(accepted: Accepted) -> None:
            writer.send(pb.SessionResponse(opened=messages.opened(number, accepted)))
            if accepted.is_complete:
                writer.send(_completed(number))

        try:
            await self._subscriptions.open(
                writer.stream,
                number,
                checked(request.subscription),
                tell_opened,
            )
        except Exception as error:  # told to the client, whatever it is
            writer.send(_rejected(number, error))

    def _closed(self, writer: StreamWriter[pb.SessionResponse], item: Ended) -> Iterator[pb.SessionResponse]:
        number = item.subscription.id
        if writer.stream.subscriptions.get(number) is not item.subscription:
            return
        self._subscriptions.close(writer.stream, number)
        yield pb.SessionResponse(closed=pb.Closed(subscription_id=number, rejection=rejection(item.reason)))

    def _status(self) -> pb.SessionResponse:
        status = pb.Status(kafka_available=self._subscriptions.kafka_available, takes_several=True)
        return pb.SessionResponse(status=status)


async def _each(
    requests: AsyncIterator[pb.SessionRequest], writer: StreamWriter[pb.SessionResponse]
) -> AsyncIterator[pb.SessionRequest]:
    """The requests, those that came together one by one. Who sends several at once is answered likewise."""
    async for request in requests:
        if request.HasField("several"):
            writer.join = messages.join
            for each in request.several.requests:
                yield each
        else:
            yield request


def _forget(opening: dict[int, asyncio.Task[None]], number: int, task: asyncio.Task[None]) -> None:
    if opening.get(number) is task:
        del opening[number]


def _completed(number: int) -> pb.SessionResponse:
    return pb.SessionResponse(completed=pb.Completed(subscription_id=number))


def _rejected(number: int, error: BaseException) -> pb.SessionResponse:
    return pb.SessionResponse(rejected=pb.Rejected(subscription_id=number, rejection=rejection(error)))


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: BaseException) -> NoReturn:
    told = rejection(error)
    status = grpc.StatusCode.INVALID_ARGUMENT
    if told.code == pb.REJECTION_CODE_UNAVAILABLE:
        status = grpc.StatusCode.UNAVAILABLE
    elif told.code == pb.REJECTION_CODE_POSITION_GONE:
        status = grpc.StatusCode.OUT_OF_RANGE
    elif told.code == pb.REJECTION_CODE_INTERNAL:
        status = grpc.StatusCode.INTERNAL
    details = str(error) if isinstance(error, DrainingError) else told.reason
    await context.abort(status, f"{int(told.code)} {details}", ((REJECTION_METADATA, told.SerializeToString()),))
