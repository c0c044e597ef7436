"""One `Session` stream to one filter replica: connects, reconnects, numbers subscriptions, routes what arrives.

Created by `filter_client`, which decides what is opened where; runs as one task on the event loop. What the stream
carries is said in `proto/kafka_ws/filter/v1/filter.proto`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio
import structlog
from kafka_ws.filter.v1 import filter_pb2, filter_pb2_grpc

from edge.backoff import Backoff
from edge.batch import ReceivedBatch
from edge.encoding import Gap

if TYPE_CHECKING:
    from edge.leg import Leg

_log = structlog.get_logger(__name__)

_Call = grpc.aio.StreamStreamCall[filter_pb2.SessionRequest, filter_pb2.SessionResponse]


class Assignment:
    """A leg at a replica, under the number it has there. Valid until closed, refused, or the stream is lost."""

    __slots__ = ("leg", "number", "session")

    def __init__(self, leg: Leg, session: FilterSession, number: int) -> None:
        """Made by `FilterSession.open`."""
        self.leg = leg
        self.session = session
        self.number = number

    def close(self) -> None:
        """Ends it; what still arrives for it is ignored."""
        self.session.close(self)


class SessionListener(Protocol):
    """Who is told what happens on a session."""

    def changed(self, session: FilterSession) -> None:
        """`is_ready` or `is_draining` may have changed."""

    def opened(self, assignment: Assignment, opened: filter_pb2.Opened) -> None:
        """The replica serves the leg; records follow."""

    def level(self, leg: Leg) -> None:
        """The replica has got as far in all partitions of the leg as the subscriber has."""

    def refused(self, assignment: Assignment, rejection: filter_pb2.Rejection) -> None:
        """The replica does not serve the leg, or no longer."""

    def completed(self, assignment: Assignment) -> None:
        """The replica has delivered everything before the leg's stop."""

    def topic_changed(self, assignment: Assignment, change: filter_pb2.TopicChanged) -> None:
        """The leg's topic has appeared or grown."""

    def lost(self, assignments: list[Assignment]) -> None:
        """The stream is gone, and these with it."""

    def handled(self) -> None:
        """One message has been handed on completely."""

    async def room(self) -> None:
        """Waits while no more should be read."""

    @property
    def has_room(self) -> bool:
        """Whether `room` would not wait."""


_TOGETHER_BYTES = 16 * 1024
"""Of requests that are sent as one message, and one more of any size."""
_LOOK_SEC = 2.0
_SILENT_LOOKS = 5
"""Looks in a row that find nothing new on a stream before its replica counts as out of reach: replicas give a sign of
life every 2 s (`Status` in the contract). Looks are counted instead of seconds, for an edge that was stopped itself has
heard nothing either."""


class _SilenceError(Exception):
    """The replica is out of reach, though its connection stands."""


class FilterSession:
    """The stream to one replica.

    Args:
        address: the replica, `ip:port`.
        connect: makes a channel to it.
        listener: is told what happens.

    Attributes:
        address: the replica.
        is_draining: the replica has said that it is about to stop.
        kafka_lost_at: when the replica has said that Kafka is away, in the event loop's time; None while it is not.
    """

    def __init__(self, address: str, connect: Callable[[], grpc.aio.Channel], listener: SessionListener) -> None:
        """Begins unconnected; `run` connects."""
        self.address = address
        self._connect = connect
        self._listener = listener
        self._assignments: dict[int, Assignment] = {}
        self._last_number = 0
        self._requests: asyncio.Queue[filter_pb2.SessionRequest] | None = None
        self._kafka_available = False
        self._takes_several = False
        self._heard = 0  # messages that have come
        self._is_listening = False
        self._is_silent = False
        self.is_draining = False
        self.kafka_lost_at: float | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the stream stands: its first message has arrived."""
        return self._requests is not None

    @property
    def is_ready(self) -> bool:
        """Whether new subscriptions can be opened."""
        return self.is_connected and self._kafka_available and not self.is_draining

    @property
    def assignments(self) -> list[Assignment]:
        """What is open, or being opened, here."""
        return list(self._assignments.values())

    def open(self, leg: Leg) -> Assignment:
        """Asks the replica to serve a leg, from where its subscriber stands now."""
        self._last_number += 1
        assignment = Assignment(leg, self, self._last_number)
        self._assignments[assignment.number] = assignment
        self._send(
            filter_pb2.SessionRequest(
                open=filter_pb2.Open(subscription_id=assignment.number, subscription=leg.request())
            )
        )
        return assignment

    def close(self, assignment: Assignment) -> None:
        """Asks the replica to stop serving a leg. Does nothing when it does not."""
        if self._assignments.pop(assignment.number, None) is not None:
            self._send(filter_pb2.SessionRequest(close=filter_pb2.Close(subscription_id=assignment.number)))

    def _send(self, request: filter_pb2.SessionRequest) -> None:
        # Bounded by the number of subscriptions. Without a stream there is nobody to tell.
        if self._requests is not None:
            self._requests.put_nowait(request)

    async def run(self) -> None:
        """Keeps the stream up until cancelled."""
        backoff = Backoff()
        log = _log.bind(replica=self.address)
        reported = False
        while True:
            self._is_silent = False
            async with self._connect() as channel:
                stub = filter_pb2_grpc.FilterServiceStub(channel)
                while not self._is_silent:
                    try:
                        await self._converse(stub.Session(), backoff)
                        log.info("the filter replica has ended the session")
                    except _SilenceError:
                        log.warning("nothing comes from the filter replica any more: it is connected to anew")
                    except grpc.aio.AioRpcError as error:
                        report = log.debug if reported else log.warning
                        report("no session with the filter replica", status=error.code().name, details=error.details())
                    except Exception:
                        log.exception("the session with the filter replica has failed")
                    reported = not self.is_connected
                    self._forget()
                    await asyncio.sleep(backoff.delay())

    async def _converse(self, call: _Call, backoff: Backoff) -> None:
        requests: asyncio.Queue[filter_pb2.SessionRequest] = asyncio.Queue()
        tasks = [asyncio.create_task(self._give_up_in_silence(call))]
        try:
            first = await self._read(call)
            if not isinstance(first, filter_pb2.SessionResponse):
                # The end of the stream.
                return
            backoff.succeeded()
            self._requests = requests
            tasks.append(asyncio.create_task(self._write_requests(call, requests)))
            self._handle(first)
            self._listener.changed(self)
            while True:
                message = await self._read(call)
                if not isinstance(message, filter_pb2.SessionResponse):
                    return
                self._handle(message)
                self._listener.handled()
                if not self._listener.has_room:
                    await self._listener.room()
        finally:
            for task in tasks:
                task.cancel()
            call.cancel()

    async def _read(self, call: _Call) -> object:
        self._is_listening = True
        try:
            message = await call.read()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_silent and task is not None and not task.cancelling():
                raise _SilenceError from None
            raise
        self._is_listening = False
        self._heard += 1
        return message

    async def _give_up_in_silence(self, call: _Call) -> None:
        """Cancels a call from which nothing comes. While the edge does not listen, nothing can."""
        looks = 0
        while looks < _SILENT_LOOKS:
            heard = self._heard
            await asyncio.sleep(_LOOK_SEC)
            looks = looks + 1 if self._is_listening and self._heard == heard else 0
        self._is_silent = True
        call.cancel()

    async def _write_requests(self, call: _Call, requests: asyncio.Queue[filter_pb2.SessionRequest]) -> None:
        """Writes what there is to ask for, all that waits together."""
        try:
            while True:
                request = await requests.get()
                if self._takes_several and not requests.empty():
                    request = _several(request, requests)
                await call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reading side sees the end of the call as well, and says so.
            return

    def _forget(self) -> None:
        """The stream is gone."""
        self._requests = None
        self._kafka_available = False
        self.is_draining = False
        self.kafka_lost_at = None
        lost, self._assignments = list(self._assignments.values()), {}
        self._listener.changed(self)
        self._listener.lost(lost)

    def _handle(self, message: filter_pb2.SessionResponse) -> None:
        match message.WhichOneof("response"):
            case "records":
                self._deliver(message.records)
            case "progress":
                progress = message.progress
                for assignment in self._known(progress.subscription_ids):
                    leg = assignment.leg
                    is_level = bool(leg.behind) and leg.reached(progress.partition, progress.next_offset)
                    leg.subscriber.progress(progress.partition, progress.next_offset)
                    if is_level:
                        self._listener.level(leg)
            case "several":
                for each in message.several.responses:
                    self._handle(each)
            case "opened":
                for assignment in self._known((message.opened.subscription_id,)):
                    self._listener.opened(assignment, message.opened)
            case "rejected":
                self._refused(message.rejected.subscription_id, message.rejected.rejection)
            case "closed":
                self._refused(message.closed.subscription_id, message.closed.rejection)
            case "completed":
                for assignment in self._known((message.completed.subscription_id,)):
                    del self._assignments[assignment.number]
                    self._listener.completed(assignment)
            case "gap":
                gap = Gap(message.gap.partition, message.gap.from_offset, message.gap.to_offset)
                for assignment in self._known(message.gap.subscription_ids):
                    assignment.leg.subscriber.gap(gap)
            case "topic_changed":
                for assignment in self._known(message.topic_changed.subscription_ids):
                    self._listener.topic_changed(assignment, message.topic_changed)
            case "status":
                self._status(message.status)
            case "draining":
                self.is_draining = True
                _log.info("the filter replica is draining", replica=self.address, grace_ms=message.draining.grace_ms)
                self._listener.changed(self)

    def _known(self, numbers: Iterable[int]) -> list[Assignment]:
        """Those of the numbers that are still assigned."""
        return [self._assignments[number] for number in numbers if number in self._assignments]

    def _deliver(self, message: filter_pb2.SessionRecords) -> None:
        batch = ReceivedBatch(message.batch)
        assignments = self._assignments
        for delivery in message.deliveries:
            assignment = assignments.get(delivery.subscription_id)
            if assignment is None:
                continue
            leg = assignment.leg
            is_level = bool(leg.behind) and leg.reached(batch.partition, batch.next_offset)
            leg.subscriber.records(batch, delivery.indexes)
            if is_level:
                self._listener.level(leg)

    def _refused(self, number: int, rejection: filter_pb2.Rejection) -> None:
        assignment = self._assignments.pop(number, None)
        if assignment is not None:
            self._listener.refused(assignment, rejection)

    def _status(self, status: filter_pb2.Status) -> None:
        self._takes_several = status.takes_several
        if status.kafka_available:
            self.kafka_lost_at = None
        elif self.kafka_lost_at is None:
            self.kafka_lost_at = asyncio.get_running_loop().time()
        if status.kafka_available != self._kafka_available:
            _log.info("filter replica", replica=self.address, kafka_available=status.kafka_available)
            self._kafka_available = status.kafka_available
            self._listener.changed(self)


def _several(
    first: filter_pb2.SessionRequest, others: asyncio.Queue[filter_pb2.SessionRequest]
) -> filter_pb2.SessionRequest:
    """Of what waits, what goes as one message."""
    together = [first]
    size = first.ByteSize()
    while size < _TOGETHER_BYTES and not others.empty():
        together.append(others.get_nowait())
        size += together[-1].ByteSize()
    return filter_pb2.SessionRequest(several=filter_pb2.SessionRequest.Several(requests=together))
