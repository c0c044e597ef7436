"""A filter replica for tests of the edge alone: a real gRPC server over logs in memory, that misbehaves on demand.

It speaks `kafka_ws.filter.v1.FilterService.Session` and serves any number of sessions. Several replicas over one
`Logs` are replicas of one filter service. It knows no query language: `where` is the text a record must contain, and
`where=bad...` is rejected. Everything runs on the test's event loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
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
        self._changed = asyncio.Event()

    def write(self, topic: str, value: bytes, partition: int = 0) -> int:
        """Append a record; returns its offset."""
        log = self.records[topic][partition]
        log.append(value)
        self.wake()
        return len(log) - 1

    def wake(self) -> None:
        """Make sessions look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """Is set at the next change. To be taken before looking, so that nothing passes by between look and wait."""
        return self._changed


@dataclass
class Open:
    """A subscription that is open in a session."""

    topic: str
    where: bytes
    position: dict[int, int]
    started_at: dict[int, int] | None


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
        self.kafka_available = True
        self.rejection: filter_pb2.Rejection | None = None
        """What every `open` gets, when set."""
        self.answers = asyncio.Event()
        """While cleared, nothing is answered to `open`."""
        self.answers.set()
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
        return filter_pb2.SessionResponse(status=filter_pb2.Status(kafka_available=self.kafka_available))

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
                await context.write(await session.outbox.get())
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
            if request.HasField("close"):
                session.open.pop(request.close.subscription_id, None)
            else:
                self.opens.append(request.open)
                await self.answers.wait()
                session.outbox.put_nowait(self._answer(session, request.open))
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
        partitions = self.logs.records[wanted.topic]
        if wanted.start.WhichOneof("start") == "position":
            start = {each: wanted.start.position.next_offsets.get(each, 0) for each in partitions}
        else:
            start = {each: len(log) for each, log in partitions.items()}
        session.open[number] = Open(wanted.topic, wanted.query.where.encode(), dict(start), dict(start))
        return filter_pb2.SessionResponse(
            opened=filter_pb2.Opened(
                subscription_id=number, start=filter_pb2.Position(next_offsets=start), partition_count=len(start)
            )
        )

    async def _read_logs(self, session: EdgeSession) -> None:
        while True:
            changed = self.logs.changed
            while self.kafka_available and self._read_some(session):
                # As gRPC's flow control would, but without its megabytes.
                while session.outbox.qsize() > 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0)
            await changed.wait()

    def _read_some(self, session: EdgeSession) -> bool:
        """One batch of each (topic, partition, offset) at which some subscription stands."""
        readers: defaultdict[tuple[str, int, int], list[int]] = defaultdict(list)
        for number, each in session.open.items():
            for partition, log in self.logs.records[each.topic].items():
                offset = each.position.get(partition, 0)
                if offset < len(log):
                    readers[each.topic, partition, offset].append(number)
        for (topic, partition, offset), numbers in readers.items():
            values = self.logs.records[topic][partition][offset : offset + self.batch]
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
                    timestamps_ms=[0] * len(values),
                    values=values,
                    next_offset=next_offset,
                )
                records = filter_pb2.SessionRecords(batch=batch, deliveries=deliveries)
                session.outbox.put_nowait(filter_pb2.SessionResponse(records=records))
            told = {delivery.subscription_id for delivery in deliveries}
            quiet = [number for number in numbers if number not in told]
            if quiet:
                progress = filter_pb2.Progress(subscription_ids=quiet, partition=partition, next_offset=next_offset)
                session.outbox.put_nowait(filter_pb2.SessionResponse(progress=progress))
        return bool(readers)
