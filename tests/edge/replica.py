"""A filter replica for tests of the edge alone: a real gRPC server over logs in memory, that misbehaves on demand.

It speaks `kafka_ws.filter.v1.FilterService.Session` and serves any number of sessions. Several replicas over one
`Logs` are replicas of one filter service. It knows no query language: `where` is the text a record must contain, and
`where=bad...` is rejected; nor times: a record's timestamp is its offset. Everything runs on the test's event loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from kafka_ws.filter.v1 import filter_pb2, filter_pb2_grpc

from runtime.grpc_server import GrpcServer

SERVICE = "kafka_ws.filter.v1.FilterService"


class Logs:
    """Topics in memory; what replicas read."""

    def __init__(self) -> None:
        self.records: defaultdict[str, defaultdict[int, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        self.first: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        """First offset that retention has left, by topic and partition."""
        self.topic_ids: dict[str, bytes] = {}
        """Kafka's ids of topics; one that is missing is not told."""
        self.metadata = filter_pb2.RecordMetadata()
        """Key and headers of every record."""
        self._changed = asyncio.Event()

    def write(self, topic: str, value: bytes, partition: int = 0) -> int:
        """Append a record; returns its offset."""
        log = self.records[topic][partition]
        log.append(value)
        self.wake()
        return len(log) - 1

    def position(self, topic: str, offsets: Mapping[int, int]) -> filter_pb2.Position:
        """A position in a topic."""
        return filter_pb2.Position(next_offsets=offsets, topic_id=self.topic_ids.get(topic, b""))

    def wake(self) -> None:
        """Make sessions look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """Is set at the next change. To be taken before looking, so that nothing passes by between look and wait."""
        return self._changed


def covers(selection: filter_pb2.PartitionSelection | None, partition: int) -> bool:
    """Whether a subscription is about a partition; None: about all."""
    return (
        selection is None
        or partition in selection.partitions
        or (selection.HasField("and_from") and partition >= selection.and_from)
    )


@dataclass
class Open:
    """A subscription that is open in a session."""

    topic: str
    where: bytes
    position: dict[int, int]
    started_at: dict[int, int] | None
    selection: filter_pb2.PartitionSelection | None = None
    stop: dict[int, int] | None = None
    told: set[int] = field(default_factory=set)
    """Partitions of which anything was told."""

    def covers(self, partition: int) -> bool:
        """Whether it is about this partition."""
        return covers(self.selection, partition)

    def limit(self, partition: int) -> int | None:
        """Offset before which it ends; None: nowhere."""
        return None if self.stop is None else self.stop.get(partition, 0)

    @property
    def is_complete(self) -> bool:
        """Whether it has got to its stop."""
        return self.stop is not None and all(self.position.get(each, 0) >= end for each, end in self.stop.items())


@dataclass
class EdgeSession:
    """One edge's session."""

    outbox: asyncio.Queue[filter_pb2.SessionResponse] = field(default_factory=asyncio.Queue)
    open: dict[int, Open] = field(default_factory=dict)


class Replica(filter_pb2_grpc.FilterServiceServicer):
    """One filter replica.

    :param logs: what it reads.
    :param batch: records of one message at most.
    """

    def __init__(self, logs: Logs, batch: int = 10) -> None:
        self.logs = logs
        self.batch = batch
        self.port = 0
        self.sessions: list[EdgeSession] = []
        self.opens: list[filter_pb2.Open] = []
        """Every `open` that ever arrived."""
        self.takes_several = True
        self.most_asked = 0
        """How many one message has asked for, at most."""
        self.kafka_available = True
        self.rejection: filter_pb2.Rejection | None = None
        """What every `open` gets, when set."""
        self.answers = asyncio.Event()
        """While cleared, nothing is answered to `open`."""
        self.answers.set()
        self.speaks = asyncio.Event()
        """While cleared, nothing arrives of what is sent, and no connection ends: as when a network is cut."""
        self.speaks.set()
        self.reads = True
        """Whether it delivers anything of what is open."""
        self._server: GrpcServer | None = None

    async def start(self) -> str:
        """Listen, at the same port as before; returns `host:port`."""
        self._server = GrpcServer("127.0.0.1", self.port, None, [SERVICE])
        filter_pb2_grpc.add_FilterServiceServicer_to_server(self, self._server.server)
        address = await self._server.start()
        self.port = int(address.rpartition(":")[2])
        return address

    async def kill(self) -> None:
        """End at once, as a crash does."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.server.stop(None)

    def drain(self) -> None:
        """Tell every edge that the end is near; go on serving."""
        for session in self.sessions:
            session.outbox.put_nowait(filter_pb2.SessionResponse(draining=filter_pb2.Draining(grace_ms=10_000)))

    def set_kafka(self, available: bool) -> None:
        """Lose or find Kafka; records wait meanwhile."""
        self.kafka_available = available
        for session in self.sessions:
            session.outbox.put_nowait(self._status())
        self.logs.wake()

    def give_sign_of_life(self) -> None:
        """Send every edge the status again."""
        for session in self.sessions:
            session.outbox.put_nowait(self._status())

    def go_on_reading(self) -> None:
        """Deliver what there is, after `reads` was taken back."""
        self.reads = True
        self.logs.wake()

    def end(self, code: filter_pb2.RejectionCode.ValueType, reason: str) -> None:
        """Close every open subscription from this side."""
        for session in self.sessions:
            for number in list(session.open):
                del session.open[number]
                rejection = filter_pb2.Rejection(code=code, reason=reason)
                session.outbox.put_nowait(
                    filter_pb2.SessionResponse(closed=filter_pb2.Closed(subscription_id=number, rejection=rejection))
                )

    @property
    def open_count(self) -> int:
        """Number of subscriptions open here."""
        return sum(len(session.open) for session in self.sessions)

    def _status(self) -> filter_pb2.SessionResponse:
        status = filter_pb2.Status(kafka_available=self.kafka_available, takes_several=self.takes_several)
        return filter_pb2.SessionResponse(status=status)

    async def Session(self, request_iterator: AsyncIterator[filter_pb2.SessionRequest], context: Any) -> None:  # type: ignore[override]  # noqa: N802
        session = EdgeSession()
        session.outbox.put_nowait(self._status())
        self.sessions.append(session)
        tasks = [
            asyncio.create_task(self._read_requests(session, request_iterator)),
            asyncio.create_task(self._read_logs(session)),
        ]
        try:
            while True:
                message = await session.outbox.get()
                await self.speaks.wait()
                await context.write(message)
        finally:
            self.sessions.remove(session)
            for task in tasks:
                task.cancel()

    async def Subscribe(self, request: filter_pb2.SubscribeRequest, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "edges use sessions")

    async def Validate(self, request: filter_pb2.ValidateRequest, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "edges don't")

    async def _read_requests(self, session: EdgeSession, requests: AsyncIterator[filter_pb2.SessionRequest]) -> None:
        async for request in requests:
            several = request.several.requests if request.HasField("several") else (request,)
            self.most_asked = max(self.most_asked, len(several))
            for each in several:
                if each.HasField("close"):
                    session.open.pop(each.close.subscription_id, None)
                else:
                    self.opens.append(each.open)
                    await self.answers.wait()
                    session.outbox.put_nowait(self._answer(session, each.open))
                    self.logs.wake()

    def _answer(self, session: EdgeSession, request: filter_pb2.Open) -> filter_pb2.SessionResponse:
        number, wanted = request.subscription_id, request.subscription
        assert number != 0
        assert number not in session.open, "a number that is in use"
        rejection = self.rejection
        if wanted.query.where.startswith("bad"):
            rejection = filter_pb2.Rejection(
                code=filter_pb2.REJECTION_CODE_INVALID_SYNTAX, reason="invalid syntax" + wanted.query.where[3:]
            )
        if rejection is not None:
            return filter_pb2.SessionResponse(rejected=filter_pb2.Rejected(subscription_id=number, rejection=rejection))
        partitions, first = self.logs.records[wanted.topic], self.logs.first[wanted.topic]
        selection = wanted.partitions if wanted.HasField("partitions") else None
        start, stop = (
            None if offsets is None else {each: at for each, at in offsets.items() if covers(selection, each)}
            for offsets in (self._start(wanted), self._stop(wanted))
        )
        assert start is not None
        for partition in sorted(start):
            if start[partition] < first[partition] and wanted.on_gap != filter_pb2.GAP_POLICY_CONTINUE:
                return filter_pb2.SessionResponse(
                    rejected=filter_pb2.Rejected(subscription_id=number, rejection=self._gone(wanted, start, partition))
                )
        session.open[number] = Open(
            wanted.topic, wanted.query.where.encode(), dict(start), dict(start), selection, stop
        )
        opened = filter_pb2.Opened(
            subscription_id=number, start=self.logs.position(wanted.topic, start), partition_count=len(partitions)
        )
        if stop is not None:
            opened.stop.CopyFrom(self.logs.position(wanted.topic, stop))
        return filter_pb2.SessionResponse(opened=opened)

    def _start(self, wanted: filter_pb2.Subscription) -> dict[int, int]:
        partitions = self.logs.records[wanted.topic]
        match wanted.start.WhichOneof("start"):
            case "position":
                return {each: wanted.start.position.next_offsets.get(each, 0) for each in partitions}
            case "earliest":
                return {each: self.logs.first[wanted.topic][each] for each in partitions}
            case "timestamp_ms":
                return {each: min(len(log), wanted.start.timestamp_ms) for each, log in partitions.items()}
        return {each: len(log) for each, log in partitions.items()}

    def _stop(self, wanted: filter_pb2.Subscription) -> dict[int, int] | None:
        match wanted.stop.WhichOneof("stop"):
            case "position":
                return dict(wanted.stop.position.next_offsets)
            case "latest":
                return {each: len(log) for each, log in self.logs.records[wanted.topic].items()}
            case "timestamp_ms":
                logs = self.logs.records[wanted.topic]
                return {each: min(len(log), wanted.stop.timestamp_ms) for each, log in logs.items()}
        return None

    def _gone(self, wanted: filter_pb2.Subscription, start: dict[int, int], partition: int) -> filter_pb2.Rejection:
        first = self.logs.first[wanted.topic][partition]
        reason = f"partition {partition}: offset {start[partition]} is gone, first offset is {first}"
        return filter_pb2.Rejection(code=filter_pb2.REJECTION_CODE_POSITION_GONE, reason=reason)

    async def _read_logs(self, session: EdgeSession) -> None:
        while True:
            changed = self.logs.changed
            while self.kafka_available and self.reads and self._read_some(session):
                # As gRPC's flow control would, but without its megabytes.
                while session.outbox.qsize() > 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0)
            await changed.wait()

    def _read_some(self, session: EdgeSession) -> bool:
        """One batch of each (topic, partition, offset) at which some subscription stands."""
        readers: defaultdict[tuple[str, int, int, int], list[int]] = defaultdict(list)
        for number, each in session.open.items():
            for partition, log in self.logs.records[each.topic].items():
                if not each.covers(partition):
                    continue
                self._pass_gap(session, number, partition)
                offset = each.position.get(partition, 0)
                limit = each.limit(partition)
                end = len(log) if limit is None else min(limit, len(log))
                if offset < end:
                    readers[each.topic, partition, offset, end].append(number)
                elif partition not in each.told and limit is None:
                    progress = filter_pb2.Progress(subscription_ids=[number], partition=partition, next_offset=offset)
                    session.outbox.put_nowait(filter_pb2.SessionResponse(progress=progress))
                each.told.add(partition)
        for (topic, partition, offset, end), numbers in readers.items():
            values = self.logs.records[topic][partition][offset : min(end, offset + self.batch)]
            offsets = range(offset, offset + len(values))
            deliveries = []
            for number in numbers:
                subscription = session.open[number]
                subscription.position[partition] = offset + len(values)
                chosen = [index for index, value in enumerate(values) if subscription.where in value]
                if len(chosen) == len(values):
                    deliveries.append(filter_pb2.Delivery(subscription_id=number))
                elif chosen:
                    deliveries.append(filter_pb2.Delivery(subscription_id=number, indexes=chosen))
            next_offset = offset + len(values)
            if deliveries:
                batch = filter_pb2.RecordBatch(
                    partition=partition,
                    offsets=offsets,
                    timestamps_ms=offsets,
                    values=values,
                    metadata=[self.logs.metadata] * len(values),
                    next_offset=next_offset,
                )
                records = filter_pb2.SessionRecords(batch=batch, deliveries=deliveries)
                session.outbox.put_nowait(filter_pb2.SessionResponse(records=records))
            told = {delivery.subscription_id for delivery in deliveries}
            quiet = [number for number in numbers if number not in told]
            if quiet:
                progress = filter_pb2.Progress(subscription_ids=quiet, partition=partition, next_offset=next_offset)
                session.outbox.put_nowait(filter_pb2.SessionResponse(progress=progress))
        for number in [number for number, each in session.open.items() if each.is_complete]:
            del session.open[number]
            completed = filter_pb2.Completed(subscription_id=number)
            session.outbox.put_nowait(filter_pb2.SessionResponse(completed=completed))
        return bool(readers)

    def _pass_gap(self, session: EdgeSession, number: int, partition: int) -> None:
        """Go on behind records that are gone, and tell. Those who do not want that were refused."""
        subscription = session.open[number]
        offset = subscription.position.get(partition, 0)
        first = self.logs.first[subscription.topic][partition]
        if offset < first:
            subscription.position[partition] = first
            gap = filter_pb2.Gap(subscription_ids=[number], partition=partition, from_offset=offset, to_offset=first)
            session.outbox.put_nowait(filter_pb2.SessionResponse(gap=gap))
