"""Opens and closes subscriptions: compiles the query, resolves where to start, and hands them to the readers.

Lives on the event loop, one per process. `Stream` is what the gRPC servicer holds for one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filter_service import metrics
from filter_service.backpressure import Backpressure
from filter_service.config import FilterSettings
from filter_service.errors import (
    DrainingError,
    KafkaUnavailableError,
    TooManySubscriptionsError,
    TopicReplacedError,
)
from filter_service.kafka_source import KafkaLookups
from filter_service.limit import Limit
from filter_service.offsets import MissingRecords, Range, resolve
from filter_service.outbox import Ended, Missing, Outbox, TopicNote
from filter_service.projection import Projection
from filter_service.query_budget import QueryBudget
from filter_service.query_compiler import compile_query
from filter_service.readers import Readers
from filter_service.requests import PartitionSelection, Request
from filter_service.subscription import Subscription
from filter_service.topic_catalog import TopicCatalog

BACKLOG = 50
"""How often the live reader may be asked to serve somebody before it has: two groups of `REPLAYED_AT_A_TIME`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client is told when the subscription is open.

    Attributes:
        start: {partition: first offset}.
        stop: {partition: offset before which it ends}; None: never.
        where, fields: in canonical form.
        partition_count: number of partitions the topic has.
        topic_id: Kafka's id of the topic; empty: not known.
        missing: what was asked for and is gone.
        is_complete: whether there is nothing before the stop.
    """

    start: dict[int, int]
    stop: dict[int, int] | None
    where: str
    fields: str
    partition_count: int
    topic_id: bytes
    missing: list[MissingRecords]
    is_complete: bool


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
        self.limited = 0
        """Subscriptions that end somewhere."""


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
            self,
        )
        self._budget = QueryBudget(settings.filter_max_query_total)
        self._of_topic: dict[str, dict[Subscription, PartitionSelection]] = {}
        self._backpressure = Backpressure(lambda: self._readers.backlog, BACKLOG)
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
        budgeted = self._budget.take(request.where, request.fields)
        stream.opening += 1
        is_held = False
        try:
            is_held = await self._open(stream, subscription_id, request, opened, budgeted)
        finally:
            stream.opening -= 1
            if not is_held:
                self._budget.give_back(budgeted)

    async def _open(
        self,
        stream: Stream,
        subscription_id: int,
        request: Request,
        opened: Callable[[Accepted], None],
        budgeted: int,
    ) -> bool:
        """Returns whether the subscription is held from now on; not if it is complete before it has begun."""
        rule, selection = await compile_query(request.where, request.fields, self._settings.filter_max_query_length)
        if not self.kafka_available:
            raise KafkaUnavailableError("opening a subscription", "no broker answers")
        await self.catalog.use(request.topic)
        try:
            topic_id, count, found = await self._resolve(request)
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
            request.skips_gaps,
            None if found.stops is None else Limit(found.starts, found.stops),
            topic_id,
            count,
            budgeted,
        )
        is_complete = subscription.limit is not None and subscription.limit.is_reached
        opened(
            Accepted(
                found.starts,
                found.stops,
                rule.canonical,
                "" if selection is None else selection.canonical,
                count,
                topic_id,
                found.missing,
                is_complete,
            )
        )
        if is_complete:
            self.catalog.release(request.topic)
            return False
        stream.subscriptions[subscription_id] = subscription
        stream.limited += subscription.limit is not None
        self._of_topic.setdefault(request.topic, {})[subscription] = request.partitions
        metrics.SUBSCRIPTIONS.inc()
        for gone in found.missing:
            stream.outbox.offer(Missing(subscription, gone.partition, gone.first, gone.end))
        for number, offset in found.starts.items():
            if found.stops is not None and offset >= found.stops[number]:
                continue
            self._readers.attach(subscription, number, offset, begin=found.live_begin(number))
        # Partitions that appeared while the offsets were being looked up.
        self._attach_new(subscription, request.partitions, self.catalog.count(request.topic))
        return True

    def close(self, stream: Stream, subscription_id: int) -> None:
        """Closes one subscription; an unknown number is ignored."""
        subscription = stream.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return
        stream.limited -= subscription.limit is not None
        subscription.closed = True
        self._budget.give_back(subscription.budgeted)
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
            if not parked.subscription.is_over:
                self._readers.attach(parked.subscription, parked.partition, parked.position)

    async def _resolve(self, request: Request) -> tuple[bytes, int, Range]:
        """The topic's id, its number of partitions, and the offsets that are asked for in it, once there is room.

        Raises:
            FilterError: see `errors`.
        """
        topic = request.topic
        while True:
            topic_id, count = self.catalog.id(topic), self.catalog.count(topic)
            if any(number >= count for number in request.named):
                # Another replica may have seen a new partition sooner than this one.
                count = await self.catalog.look_again(topic)
            await self._check_topic(request)
            found = await resolve(self._lookups, request, count)
            # Nothing is waited for from here on until the reader has been asked.
            await self._backpressure.room()
            if not topic_id or self.catalog.id(topic) == topic_id:
                return self.catalog.id(topic), count, found
            # It was created again meanwhile.
            await self.catalog.look_again(topic)

    async def _check_topic(self, request: Request) -> None:
        """Whether the topic is the one that the request's positions belong to.

        Raises:
            KafkaUnavailableError: Kafka did not answer.
            TopicReplacedError: it is not.
        """
        meant = {position.topic_id for position in request.positions if position.topic_id}
        if meant and meant != {self.catalog.id(request.topic) or await self.catalog.current_id(request.topic)}:
            raise TopicReplacedError(request.topic)

    def _attach_new(self, subscription: Subscription, selection: PartitionSelection, count: int) -> None:
        """Reads the partitions that the topic has got since."""
        new = range(subscription.partition_count, count)
        subscription.partition_count = max(subscription.partition_count, count)
        for number in new:
            if selection.covers(number) and subscription.limit is None and not subscription.is_over:
                self._readers.attach(subscription, number, 0, begin=0)

    # ---- CatalogListener

    def grown(self, topic: str, known: int, now: int) -> None:
        """A topic has appeared, or has more partitions."""
        self.identified(topic)
        for subscription, selection in self._of_topic.get(topic, {}).items():
            self._attach_new(subscription, selection, now)

    def identified(self, topic: str) -> None:
        """What is told of a topic has changed."""
        by_outbox: dict[Outbox, list[Subscription]] = {}
        for subscription in self._of_topic.get(topic, {}):
            subscription.topic_id = subscription.topic_id or self.catalog.id(topic)
            by_outbox.setdefault(subscription.outbox, []).append(subscription)
        for outbox, subscriptions in by_outbox.items():
            outbox.offer(TopicNote(subscriptions, self.catalog.id(topic), self.catalog.count(topic)))

    def replaced(self, topic: str) -> None:
        """A topic was deleted and created again: the positions of those who have read the old one do not hold.

        Readers let them go before they get anybody who is to read the new one, since whoever is level with a reader
        is served what it has read.
        """
        for subscription in self._of_topic.get(topic, {}):
            if subscription.partition_count and not subscription.is_over:
                subscription.ended = True
                self._readers.forget(subscription)
                subscription.outbox.offer(Ended(subscription, TopicReplacedError(topic)))
