"""`kafka_ws.filter.v1.FilterService`: translates between gRPC messages and `subscriptions`. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from kafka_ws.filter.v1 import filter_pb2 as pb
from kafka_ws.filter.v1 import filter_pb2_grpc

from filter_service import metrics
from filter_service.errors import DrainingError, SubscriptionIdError
from filter_service.language import LanguageError
from filter_service.outbox import Batch, Ended, Item, PositionNote
from filter_service.rejections import rejection
from filter_service.requests import check_possible, checked
from filter_service.stream_writer import StreamWriter
from filter_service.subscriptions import Accepted, Subscriptions, compile_query

log = structlog.get_logger(__name__)

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["FilterService"].full_name
REJECTION_METADATA = "kafka-ws-rejection-bin"
OPENS_AT_A_TIME = 1_000
"""Subscriptions of one session that may be opening; further requests of the session wait."""
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
        self._subscribers: dict[StreamWriter[pb.SubscribeResponse], asyncio.Future[BaseException]] = {}
        self._drained_at: float | None = None
        self.idle = asyncio.Event()
        """Set while no stream is open."""
        self.idle.set()

    def announce_status(self) -> None:
        """Tells every session whether Kafka is available."""
        for session in self._sessions:
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
        for ended in (*self._sessions.values(), *self._subscribers.values()):
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
        ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def convert(item: Item) -> pb.SubscribeResponse | None:
            if isinstance(item, Batch):
                return _subscribe_response(item)
            if isinstance(item, PositionNote):
                return pb.SubscribeResponse(
                    progress=pb.Progress(partition=item.partition, next_offset=item.next_offset)
                )
            if not ended.done():
                ended.set_result(item.reason)
            return None

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
                    lambda accepted: writer.send(pb.SubscribeResponse(opened=_opened(0, accepted))),
                )
            except Exception as error:  # told to the client, whatever it is
                await _abort(context, error)
            writing = asyncio.create_task(writer.run())
            waited: list[asyncio.Future[Any]] = [writing, ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await _abort(context, ended.result())
            writing.result()
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

        def convert(item: Item) -> pb.SessionResponse | None:
            if isinstance(item, Batch):
                return _session_response(item)
            if isinstance(item, PositionNote):
                return _session_progress(item)
            return self._closed(writer, item)

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
            async for request in requests:
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
        try:
            await self._subscriptions.open(
                writer.stream,
                number,
                checked(request.subscription),
                lambda accepted: writer.send(pb.SessionResponse(opened=_opened(number, accepted))),
            )
        except Exception as error:  # told to the client, whatever it is
            writer.send(_rejected(number, error))

    def _closed(self, writer: StreamWriter[pb.SessionResponse], item: Ended) -> pb.SessionResponse | None:
        number = item.subscription.id
        if writer.stream.subscriptions.get(number) is not item.subscription:
            return None
        self._subscriptions.close(writer.stream, number)
        return pb.SessionResponse(closed=pb.Closed(subscription_id=number, rejection=rejection(item.reason)))

    def _status(self) -> pb.SessionResponse:
        return pb.SessionResponse(status=pb.Status(kafka_available=self._subscriptions.kafka_available))


def _forget(opening: dict[int, asyncio.Task[None]], number: int, task: asyncio.Task[None]) -> None:
    if opening.get(number) is task:
        del opening[number]


def _opened(number: int, accepted: Accepted) -> pb.Opened:
    return pb.Opened(
        subscription_id=number,
        start=pb.Position(next_offsets=accepted.start),
        canonical=pb.Query(where=accepted.where, fields=accepted.fields),
        partition_count=accepted.partition_count,
    )


def _rejected(number: int, error: BaseException) -> pb.SessionResponse:
    return pb.SessionResponse(rejected=pb.Rejected(subscription_id=number, rejection=rejection(error)))


# Built in place: a message that is given to another one's constructor is copied by way of its serialised form.


def _fill(message: pb.RecordBatch, batch: Batch) -> None:
    message.partition = batch.partition
    message.offsets.extend(batch.offsets)
    message.timestamps_ms.extend(batch.timestamps)
    message.values.extend(batch.values)
    message.next_offset = batch.next_offset
    for metadata in batch.metadata or ():
        message.metadata.add(
            key=metadata.key, headers=[pb.Header(key=key, value=value) for key, value in metadata.headers]
        )


def _subscribe_response(batch: Batch) -> pb.SubscribeResponse:
    response = pb.SubscribeResponse()
    _fill(response.records, batch)
    return response


def _session_response(batch: Batch) -> pb.SessionResponse | None:
    # What is still on its way for a closed subscription must not reach another that was given its number.
    deliveries = [(subscription.id, indexes) for subscription, indexes in batch.deliveries if not subscription.closed]
    if not deliveries:
        return None
    response = pb.SessionResponse()
    records = response.records
    _fill(records.batch, batch)
    for number, indexes in deliveries:
        records.deliveries.add(subscription_id=number, indexes=indexes)
    return response


def _session_progress(note: PositionNote) -> pb.SessionResponse | None:
    numbers = [subscription.id for subscription in note.subscriptions if not subscription.closed]
    if not numbers:
        return None
    progress = pb.Progress(subscription_ids=numbers, partition=note.partition, next_offset=note.next_offset)
    return pb.SessionResponse(progress=progress)


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
