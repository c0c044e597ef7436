"""A client of the filter service that speaks its contract over real gRPC and keeps what arrives for assertions."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
import grpc.aio
from kafka_ws.filter.v1 import filter_pb2 as pb
from kafka_ws.filter.v1 import filter_pb2_grpc

from runtime.grpc_server import CHANNEL_OPTIONS
from tests.filter_service.service import PATIENCE_SEC

REJECTION_METADATA = "kafka-ws-rejection-bin"

LATEST = pb.Start(latest=pb.Start.Latest())
EARLIEST = pb.Start(earliest=pb.Start.Earliest())


def at_time(timestamp_ms: int) -> pb.Start:
    """From a time, ms since the epoch."""
    return pb.Start(timestamp_ms=timestamp_ms)


def at_position(next_offsets: Mapping[int, int]) -> pb.Start:
    """From a position."""
    return pb.Start(position=pb.Position(next_offsets=next_offsets))


def subscription(
    topic: str,
    start: pb.Start | None = None,
    where: str = "",
    fields: str = "",
    partitions: Sequence[int] | None = None,
    and_from: int | None = None,
    with_metadata: bool = False,
) -> pb.Subscription:
    """What to ask for; unset where nothing is given."""
    wanted = pb.Subscription(topic=topic, start=start, with_metadata=with_metadata)
    if where or fields:
        wanted.query.CopyFrom(pb.Query(where=where, fields=fields))
    if partitions is not None or and_from is not None:
        wanted.partitions.CopyFrom(pb.PartitionSelection(partitions=partitions or (), and_from=and_from))
    return wanted


class Record(NamedTuple):
    """One delivered record; `metadata` None when the batch had none."""

    partition: int
    offset: int
    value: bytes
    timestamp_ms: int
    metadata: pb.RecordMetadata | None


class Failure(NamedTuple):
    """How a call ended: status, its text, and the rejection in the trailing metadata."""

    status: str
    details: str
    rejection: pb.Rejection | None


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """What an error says."""
    rejection = None
    for key, value in error.trailing_metadata() or ():
        if key == REJECTION_METADATA:
            assert isinstance(value, bytes)
            rejection = pb.Rejection.FromString(value)
    return Failure(error.code().name, error.details() or "", rejection)


def rows(batch: pb.RecordBatch) -> list[Record]:
    """The records of a batch; its columns are equally long."""
    count = len(batch.offsets)
    assert len(batch.values) == len(batch.timestamps_ms) == count
    assert len(batch.metadata) in (0, count)
    metadata: Sequence[pb.RecordMetadata | None] = batch.metadata or [None] * count
    columns = zip(batch.offsets, batch.values, batch.timestamps_ms, metadata, strict=True)
    return [Record(batch.partition, *columns_of_one) for columns_of_one in columns]


class Follower:
    """What one subscription has got, checked as it arrives: per partition offsets only grow, positions never shrink.

    `positions` is where a client would resume.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.positions: dict[int, int] = {}
        self.topic_id = b""

    def opened(self, opened: pb.Opened) -> None:
        """It begins here."""
        self.positions = dict(opened.start.next_offsets)
        self.topic_id = opened.start.topic_id

    def take(self, records: Sequence[Record], partition: int, next_offset: int) -> None:
        """Records of a batch."""
        position = self.positions.get(partition, 0)
        for record in records:
            assert record.offset >= position, f"{record} came twice or before the position {position}"
            position = record.offset + 1
        assert next_offset >= position, f"position {next_offset} is not behind offset {position - 1}"
        self.records += records
        self.positions[partition] = next_offset

    def move(self, partition: int, next_offset: int) -> None:
        """Progress."""
        assert next_offset >= self.positions.get(partition, 0), f"progress back to {next_offset}"
        self.positions[partition] = next_offset

    def values(self, partition: int | None = None) -> list[bytes]:
        """Values in the order of arrival."""
        return [record.value for record in self.records if partition in (None, record.partition)]


class Subscribed(Follower):
    """One `Subscribe` call. Reads only when asked to, so that a slow client is one that does not ask."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[pb.SubscribeRequest, pb.SubscribeResponse]) -> None:
        super().__init__()
        self._call = call
        self.is_draining = False
        self.partition_count = 0
        self.gaps: list[pb.Gap] = []

    async def begin(self) -> pb.Opened:
        """The first response, which is `opened`."""
        message = await self._message()
        assert message.WhichOneof("response") == "opened"
        self.opened(message.opened)
        return message.opened

    async def until(self, condition: Callable[[], object]) -> None:
        """Read until something holds."""
        while not condition():
            self._handle(await self._message())

    async def take_values(self, count: int) -> list[bytes]:
        """Read until so many records have come; returns the values of all."""
        await self.until(lambda: len(self.records) >= count)
        return self.values()

    async def rest(self) -> None:
        """Take everything up to the stop; the call must end well."""
        async with asyncio.timeout(PATIENCE_SEC):
            while isinstance(message := await self._call.read(), pb.SubscribeResponse):
                self._handle(message)
            assert await self._call.code() is grpc.StatusCode.OK

    async def failed(self) -> Failure:
        """Read to the end, which is an error."""
        try:
            while True:
                self._handle(await self._message())
        except grpc.aio.AioRpcError as error:
            return failure_of(error)

    def cancel(self) -> None:
        """Go away."""
        self._call.cancel()

    async def _message(self) -> pb.SubscribeResponse:
        async with asyncio.timeout(PATIENCE_SEC):
            message = await self._call.read()
        assert isinstance(message, pb.SubscribeResponse), "the call ended without an error"
        return message

    def _handle(self, message: pb.SubscribeResponse) -> None:
        match message.WhichOneof("response"):
            case "records":
                assert message.records.values, "an empty batch"
                self.take(rows(message.records), message.records.partition, message.records.next_offset)
            case "progress":
                assert not message.progress.subscription_ids
                self.move(message.progress.partition, message.progress.next_offset)
            case "draining":
                self.is_draining = True
            case "topic_changed":
                self.partition_count = message.topic_changed.partition_count
            case "gap":
                self.gaps.append(message.gap)
            case other:
                raise AssertionError(f"unexpected {other}")


class SessionClient:
    """One `Session`, read all the time.

    Attributes:
        followers: by number, from `opened` on.
        opens, rejections, closes: answers by number, the latest of each.
        noted: numbers that have been told a position since they were opened: their reader serves them by then.
        kafka_available: every status but those that repeat the one before, in order.
        signs_of_life: how often a status has come.
        drains: every `draining`.
        batches: every `records` message.
        partition_counts: by number, as last told by `topic_changed`.
        complete: numbers that have reached their stop.
        gaps: every `gap`.
        most_at_once: responses of one message, at most.
        ended: how the session ended, once it has.
    """

    def __init__(self, call: grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]) -> None:
        self.followers: dict[int, Follower] = {}
        self.opens: dict[int, pb.Opened] = {}
        self.rejections: dict[int, pb.Rejection] = {}
        self.closes: dict[int, pb.Rejection] = {}
        self.kafka_available: list[bool] = []
        self.signs_of_life = 0
        self.drains: list[pb.Draining] = []
        self.batches: list[pb.SessionRecords] = []
        self.ended: Failure | None = None
        self.partition_counts: dict[int, int] = {}
        self.complete: set[int] = set()
        self.gaps: list[pb.Gap] = []
        self.most_at_once = 1
        self.noted: set[int] = set()
        self.gone: set[int] = set()
        """Numbers whose records are no longer looked at."""
        self._call = call
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._reading = asyncio.create_task(self._read())

    async def __aenter__(self) -> Self:
        await self.until(lambda: self.kafka_available)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        self._call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def send(self, request: pb.SessionRequest) -> None:
        """Send any request."""
        await self._call.write(request)

    async def ask(self, number: int, wanted: pb.Subscription) -> None:
        """Send `open`; the answer is not waited for."""
        await self.send(pb.SessionRequest(open=pb.Open(subscription_id=number, subscription=wanted)))

    async def open(self, number: int, topic: str, **how: Any) -> pb.Opened:
        """Open a subscription."""
        await self.ask(number, subscription(topic, **how))
        await self.until(lambda: number in self.opens or number in self.rejections)
        assert number in self.opens, self.rejections[number]
        return self.opens[number]

    async def served(self, *numbers: int) -> None:
        """Wait until the reader serves subscriptions. Until then, what is written may reach each by itself."""
        await self.until(lambda: self.noted.issuperset(numbers))

    async def refused(self, number: int, wanted: pb.Subscription) -> pb.Rejection:
        """Try to open a subscription that is rejected."""
        self.rejections.pop(number, None)
        await self.ask(number, wanted)
        await self.until(lambda: number in self.rejections)
        return self.rejections[number]

    async def close(self, number: int) -> None:
        """Close a subscription; what is still on its way for it is not looked at."""
        self.gone.add(number)
        await self.send(pb.SessionRequest(close=pb.Close(subscription_id=number)))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE_SEC):
            while not condition():
                if self._error is not None:
                    raise self._error
                assert self.ended is None, self.ended
                changed = self._changed
                await changed.wait()

    async def values(self, number: int, count: int) -> list[bytes]:
        """Wait until a subscription has so many records; returns the values of all."""
        await self.until(lambda: len(self.followers[number].records) >= count)
        return self.followers[number].values()

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._may_read.clear()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    async def end(self) -> Failure:
        """Wait for the end of the session."""
        async with asyncio.timeout(PATIENCE_SEC):
            await self._reading
        assert self.ended is not None
        return self.ended

    async def _read(self) -> None:
        try:
            while isinstance(message := await self._call.read(), pb.SessionResponse):
                self._handle(message)
                self._tell()
                await self._may_read.wait()
            self.ended = Failure("OK", "", None)
        except grpc.aio.AioRpcError as error:
            self.ended = failure_of(error)
        except AssertionError as error:
            self._error = error
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _handle(self, message: pb.SessionResponse) -> None:
        kind = message.WhichOneof("response")
        assert kind == "status" or self.kafka_available, "the first message is the status"
        match kind:
            case "several":
                self.most_at_once = max(self.most_at_once, len(message.several.responses))
                for each in message.several.responses:
                    self._handle(each)
            case "opened":
                number = message.opened.subscription_id
                self.gone.discard(number)
                self.noted.discard(number)
                self.opens[number] = message.opened
                self.followers[number] = Follower()
                self.followers[number].opened(message.opened)
            case "status":
                self.signs_of_life += 1
                if self.kafka_available[-1:] != [message.status.kafka_available]:
                    self.kafka_available.append(message.status.kafka_available)
            case "rejected":
                self.rejections[message.rejected.subscription_id] = message.rejected.rejection
            case "closed":
                self.closes[message.closed.subscription_id] = message.closed.rejection
            case "topic_changed":
                for number in message.topic_changed.subscription_ids:
                    self.partition_counts[number] = message.topic_changed.partition_count
            case "completed":
                self.complete.add(message.completed.subscription_id)
            case "gap":
                self.gaps.append(message.gap)
            case "draining":
                self.drains.append(message.draining)
            case "progress":
                assert message.progress.subscription_ids
                self.noted.update(message.progress.subscription_ids)
                for number in message.progress.subscription_ids:
                    if number not in self.gone:
                        self.followers[number].move(message.progress.partition, message.progress.next_offset)
            case "records":
                self._deliver(message.records)

    def _deliver(self, message: pb.SessionRecords) -> None:
        self.batches.append(message)
        taken = defaultdict[int, int](int)
        records = rows(message.batch)
        assert records
        assert message.deliveries
        seen = [delivery.subscription_id for delivery in message.deliveries]
        assert len(seen) == len(set(seen)), "a subscription twice in one batch"
        for delivery in message.deliveries:
            indexes = list(delivery.indexes) or list(range(len(records)))
            assert indexes == sorted(set(indexes)), "indexes do not increase"
            for index in indexes:
                taken[index] += 1
            if delivery.subscription_id not in self.gone:
                follower = self.followers[delivery.subscription_id]
                follower.take([records[i] for i in indexes], message.batch.partition, message.batch.next_offset)
        assert set(taken) == set(range(len(records))), "a value that nobody takes"


class Client:
    """The calls of the service."""

    def __init__(self, address: str) -> None:
        # Channels to one address share a connection otherwise, and with it the room for what is not read.
        own_connection = ("grpc.use_local_subchannel_pool", 1)
        self.channel = grpc.aio.insecure_channel(address, options=[*CHANNEL_OPTIONS, own_connection])
        self._stub: filter_pb2_grpc.FilterServiceAsyncStub = filter_pb2_grpc.FilterServiceStub(self.channel)

    def call(self, wanted: pb.Subscription) -> Subscribed:
        """`Subscribe`, nothing awaited."""
        return Subscribed(self._stub.Subscribe(pb.SubscribeRequest(subscription=wanted)))

    async def subscribe(self, topic: str, start: pb.Start | None = None, **how: Any) -> Subscribed:
        """`Subscribe`, opened."""
        subscribed = self.call(subscription(topic, start, **how))
        await subscribed.begin()
        return subscribed

    async def refused(self, wanted: pb.Subscription) -> Failure:
        """`Subscribe`, refused before anything was delivered."""
        return await self.call(wanted).failed()

    def session(self) -> SessionClient:
        """`Session`; to be used with `async with`."""
        return SessionClient(self._stub.Session())

    async def validate(self, where: str = "", fields: str = "") -> pb.ValidateResponse:
        """`Validate`."""
        request = pb.ValidateRequest(query=pb.Query(where=where, fields=fields))
        return await self._stub.Validate(request, timeout=PATIENCE_SEC)

    async def close(self) -> None:
        """Closes the channel, and with it every call."""
        await self.channel.close()
