"""Opens and closes subscriptions: compiles the query, resolves where to start, and hands them to the readers.

Lives on the event loop, one per process. `Stream` is what the gRPC servicer holds for one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filter_service import metrics
from filter_service.config import FilterSettings
from filter_service.errors import (
    DrainingError,
    InvalidSubscriptionError,
    KafkaUnavailableError,
    PositionGoneError,
    TooManySubscriptionsError,
)
from filter_service.kafka_source import KafkaLookups, Partition
from filter_service.language import InvalidSyntaxError, Rule, Selection, compile_fields, compile_where
from filter_service.outbox import Outbox
from filter_service.projection import Projection
from filter_service.readers import Readers
from filter_service.requests import Edge, PartitionSelection, Request, Timestamp
from filter_service.subscription import Subscription
from filter_service.topic_catalog import TopicCatalog

INLINE_QUERY_LENGTH = 512
"""Longest query compiled on the event loop; a longer one would hold others up and goes to a thread."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client is told when the subscription is open."""

    start: dict[int, int]
    where: str
    fields: str
    partition_count: int


async def compile_query(where: str, fields: str, max_length: int) -> tuple[Rule, Selection | None]:
    """The compiled query.

    Raises:
        LanguageError: it is wrong, or longer than `max_length` characters.
    """
    if len(where) > max_length:
        raise InvalidSyntaxError("where", max_length, len(where) - max_length)
    if len(fields) > max_length:
        raise InvalidSyntaxError("fields", max_length, len(fields) - max_length)

    def compile_both() -> tuple[Rule, Selection | None]:
        return compile_where(where), compile_fields(fields)

    if len(where) + len(fields) <= INLINE_QUERY_LENGTH:
        return compile_both()
    return await asyncio.to_thread(compile_both)


class Stream:
    """The subscriptions of one gRPC call.

    Args:
        wake: called from any thread when there is something to send.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.subscriptions: dict[int, Subscription] = {}
        self.opening = 0
        """Subscriptions that are on their way to be in `subscriptions`."""


class Subscriptions:
    """All subscriptions of this process.

    Args:
        settings: of the service.
        properties: librdkafka properties.
        lookups: to ask Kafka with.

    Attributes:
        failed: fails when a reader had to stop because of a fault; there from `start` on.
    """

    failed: asyncio.Future[None]
    _loop: asyncio.AbstractEventLoop

    def __init__(
        self, settings: FilterSettings, properties: Mapping[str, str | int | bool], lookups: KafkaLookups
    ) -> None:
        self._settings = settings
        self._lookups = lookups
        self._readers = Readers(settings, properties, self._reader_died)
        self.catalog = TopicCatalog(
            lookups,
            settings.filter_metadata_interval_sec,
            settings.filter_missing_topic_interval_sec,
            self._grown,
        )
        self._of_topic: dict[str, dict[Subscription, PartitionSelection]] = {}
        self.draining = False
        self.kafka_available = True

    def start(self) -> None:
        """Starts the readers."""
        self._loop = asyncio.get_running_loop()
        self.failed = self._loop.create_future()
        self._readers.start()

    def stop(self) -> None:
        """Stops the readers; blocks until their threads have ended."""
        self._readers.stop()

    def _reader_died(self, error: BaseException) -> None:
        def fail() -> None:
            if not self.failed.done():
                self.failed.set_exception(error)

        self._loop.call_soon_threadsafe(fail)

    def stream(self, wake: Callable[[], None]) -> Stream:
        """A new stream; `wake` is called from any thread when its outbox has something."""
        return Stream(Outbox(self._settings.filter_outbox_bytes, wake))

    async def open(
        self, stream: Stream, subscription_id: int, request: Request, opened: Callable[[Accepted], None]
    ) -> None:
        """Opens a subscription.

        Args:
            subscription_id: unique in the stream.
            opened: called before anything of the subscription can be in the outbox.

        Raises:
            LanguageError: the query is wrong.
            FilterError: see `errors`.
        """
        if self.draining:
            raise DrainingError
        if len(stream.subscriptions) + stream.opening >= self._settings.filter_max_subscriptions:
            raise TooManySubscriptionsError(self._settings.filter_max_subscriptions)
        stream.opening += 1
        try:
            await self._open(stream, subscription_id, request, opened)
        finally:
            stream.opening -= 1

    async def _open(
        self, stream: Stream, subscription_id: int, request: Request, opened: Callable[[Accepted], None]
    ) -> None:
        rule, selection = await compile_query(request.where, request.fields, self._settings.filter_max_query_length)
        if not self.kafka_available:
            raise KafkaUnavailableError("opening a subscription", "no broker answers")
        count = await self.catalog.use(request.topic)
        try:
            if isinstance(request.start, Mapping) and any(number >= count for number in request.start):
                # Another replica may have seen a new partition sooner than this one.
                count = await self.catalog.look_again(request.topic)
            covered = [number for number in range(count) if request.partitions.covers(number)]
            starts, ends = await self._resolve(request, covered)
        except BaseException:
            self.catalog.release(request.topic)
            raise
        subscription = Subscription(
            subscription_id,
            request.topic,
            rule,
            None if selection is None else Projection(selection),
            request.with_metadata,
            stream.outbox,
        )
        stream.subscriptions[subscription_id] = subscription
        self._of_topic.setdefault(request.topic, {})[subscription] = request.partitions
        metrics.SUBSCRIPTIONS.inc()
        opened(Accepted(starts, rule.canonical, "" if selection is None else selection.canonical, count))
        for number, offset in starts.items():
            at_end = offset >= ends[number]
            self._readers.attach(subscription, number, offset, begin=ends[number] if at_end else None)
        # Partitions that appeared while the offsets were being looked up.
        self._attach_new(subscription, request.partitions, count, self.catalog.count(request.topic))

    def close(self, stream: Stream, subscription_id: int) -> None:
        """Closes one subscription; an unknown number is ignored."""
        subscription = stream.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return
        subscription.closed = True
        self._readers.forget(subscription)
        of_topic = self._of_topic[subscription.topic]
        del of_topic[subscription]
        if not of_topic:
            del self._of_topic[subscription.topic]
        self.catalog.release(subscription.topic)
        metrics.SUBSCRIPTIONS.dec()

    def close_all(self, stream: Stream) -> None:
        """Closes every subscription of a stream that has ended."""
        for subscription_id in list(stream.subscriptions):
            self.close(stream, subscription_id)
        stream.outbox.discard()

    def resume_parked(self, stream: Stream) -> None:
        """Lets subscriptions that were detached because the stream was full catch up, once it has drained."""
        for parked in stream.outbox.take_parked():
            if not parked.subscription.closed:
                self._readers.attach(parked.subscription, parked.partition, parked.position)

    async def _resolve(self, request: Request, covered: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        """Start and end offsets of the covered partitions."""
        partitions: list[Partition] = [(request.topic, number) for number in covered]
        start = request.start
        if isinstance(start, Mapping):
            missing = [number for number in start if request.partitions.covers(number) and number not in covered]
            if missing:
                raise InvalidSubscriptionError("start", f"{request.topic} has no partition {min(missing)}")
        ends = {number: end for (_, number), end in (await self._lookups.end_offsets(partitions)).items()}
        if start is Edge.LATEST:
            return dict(ends), ends
        if isinstance(start, Timestamp):
            found = await self._lookups.offsets_at(partitions, start.ms)
            return {number: offset for (_, number), offset in found.items()}, ends
        begins = {number: first for (_, number), first in (await self._lookups.beginning_offsets(partitions)).items()}
        if start is Edge.EARLIEST:
            return begins, ends
        assert isinstance(start, Mapping), "the only kind left"  # noqa: S101
        starts = {number: start.get(number, 0) for number in covered}
        for number, offset in starts.items():
            if offset < begins[number]:
                raise PositionGoneError(number, offset, begins[number])
        return starts, ends

    def _attach_new(self, subscription: Subscription, selection: PartitionSelection, known: int, now: int) -> None:
        for number in range(known, now):
            if selection.covers(number):
                self._readers.attach(subscription, number, 0, begin=0)

    def _grown(self, topic: str, known: int, now: int) -> None:
        for subscription, selection in self._of_topic.get(topic, {}).items():
            self._attach_new(subscription, selection, known, now)
