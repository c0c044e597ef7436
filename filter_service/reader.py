"""What the live reader and the catch-up readers have in common: which partitions are read, for whom, and from where.

Decisions only. A reader is told what Kafka has delivered, and acts through its `Assignment`, through the outboxes, and
by handing subscriptions over to other readers; it knows neither Kafka's client nor threads. `reader_thread` runs each
on a thread of its own and calls it from nowhere else, between batches, so that there is one writer and no lock. Only
`positions` may be looked at from any thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from filter_service import metrics
from filter_service.errors import PositionGoneError
from filter_service.kafka_source import Partition
from filter_service.outbox import Ended, Missing, Outbox, Parked
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

log = structlog.get_logger(__name__)


class Assignment(Protocol):
    """What a reader does to its consumer."""

    def assign(self, topic: str, partition: int, offset: int, topic_id: bytes) -> None:
        """Reads a partition from an offset on.

        Args:
            topic_id: of the topic that is meant; empty: not known.
        """

    def unassign(self, topic: str, partition: int) -> None:
        """Reads a partition no longer: nothing of it arrives any more."""


class Reader(ABC):
    """The partitions of one consumer, and the subscriptions served from them.

    Args:
        name: in logs and metrics.
        assignment: of its consumer.
    """

    def __init__(self, name: str, assignment: Assignment) -> None:
        self.name = name
        self._assignment = assignment
        self._topics: dict[str, TopicReader] = {}
        self.positions: dict[Partition, int] = {}
        """Next offset of every partition being read; may be looked at from any thread."""
        self.unsettled = 0
        """How often `settle` has yet to serve somebody; may be looked at from any thread."""

    # ---- subscriptions

    def attach(self, subscription: Subscription, partition: int, start: int, begin: int | None = None) -> None:
        """Serves a partition to a subscription from offset `start` on, here or at another reader.

        Args:
            start: offset of the first record to deliver.
            begin: an offset at or before `start` and close to the end of the partition; None when it is not known how
                far back `start` is.
        """
        if subscription.is_over:
            self._left((subscription.topic, partition))
            return
        try:
            self._attach(subscription, partition, start, begin)
        except Exception as error:
            self._failed([subscription], error)

    def forget(self, subscription: Subscription) -> None:
        """Stops serving a subscription."""
        reader = self._topics.get(subscription.topic)
        if reader is not None:
            for partition in reader.detach_all(subscription):
                self._release(reader, partition)

    def settle(self) -> None:  # noqa: B027 (not every reader has to)
        """To be called after a round of `attach` and `forget`, before anything is read; may leave some `unsettled`."""

    # ---- what Kafka delivers

    def records(self, topic: str, partition: int, messages: Sequence[KafkaRecord]) -> None:
        """Delivers records of a partition, in order of offset. What is not read here (any more) is ignored."""
        reader = self._topics.get(topic)
        if reader is None or reader.position(partition) is None:
            return
        parked = reader.read(partition, messages)
        self.positions[topic, partition] = reader.position(partition) or 0
        self._park(parked)
        self._after(reader, partition, messages)
        self._release(reader, partition)

    def reached_end(self, topic: str, partition: int, next_offset: int) -> None:
        """A partition has been read to its end: there are no records before `next_offset` that did not arrive."""
        reader = self._topics.get(topic)
        if reader is None or reader.position(partition) is None:
            return
        reader.pass_holes(partition, next_offset)
        self.positions[topic, partition] = reader.position(partition) or 0
        self._at_end(reader, partition)
        self._release(reader, partition)

    def out_of_range(self, topic: str, partition: int, first: int, end: int) -> None:
        """Kafka does not have the offset that a partition was to be read from: tells everybody for whom that is so.

        Args:
            first, end: the first offset that there is, and that of the next record.
        """
        reader = self._topics.get(topic)
        if reader is None or reader.position(partition) is None:
            return
        level = set(reader.level_with(partition))
        others: list[tuple[Subscription, int]] = []
        for subscription in reader.takes_part(partition):
            position = reader.detach(subscription, partition) or 0
            # Whoever waits for records beyond the end goes on waiting; to have got further than the end is a loss.
            if position < first and subscription.skips_gaps:
                subscription.outbox.offer(Missing(subscription, partition, position, first))
                others.append((subscription, first))
            elif position < first or (position > end and subscription in level):
                self._end(subscription, PositionGoneError(partition, position, first))
            else:
                others.append((subscription, position))
        self._release(reader, partition)
        for subscription, position in others:
            self._again(subscription, partition, position, end)

    def note_positions(self) -> None:
        """Tells streams the positions of quiet and fully filtered partitions."""
        for reader in self._topics.values():
            reader.note_positions()

    # ---- what the kinds of readers do

    @abstractmethod
    def _attach(self, subscription: Subscription, partition: int, start: int, begin: int | None) -> None:
        """See `attach`."""

    @abstractmethod
    def _after(self, reader: TopicReader, partition: int, messages: Sequence[KafkaRecord]) -> None:
        """Called when records have been delivered."""

    @abstractmethod
    def _at_end(self, reader: TopicReader, partition: int) -> None:
        """Called when everything that a partition holds has been delivered."""

    @abstractmethod
    def _again(self, subscription: Subscription, partition: int, start: int, end: int) -> None:
        """Has a subscription that is attached nowhere served again from `start`; the partition ends at `end`."""

    def _left(self, partition: Partition) -> None:  # noqa: B027 (as above)
        """Called when a partition is not read here, any more or after all."""

    # ---- for them

    def _open(self, subscription: Subscription, partition: int, offset: int) -> None:
        """Begins to read a partition at an offset, for a subscription that is not attached yet."""
        topic = subscription.topic
        self._assignment.assign(topic, partition, offset, subscription.topic_id)
        reader = self._topics.get(topic)
        if reader is None:
            reader = self._topics[topic] = TopicReader(topic)
        reader.open_partition(partition, offset)
        self.positions[topic, partition] = offset
        metrics.PARTITIONS.labels(self.name).set(len(self.positions))

    def _release(self, reader: TopicReader, partition: int) -> None:
        """Stops reading a partition if nobody uses it any more."""
        if reader.position(partition) is None or not reader.is_idle(partition):
            return
        self._assignment.unassign(reader.topic, partition)
        reader.close_partition(partition)
        del self.positions[reader.topic, partition]
        metrics.PARTITIONS.labels(self.name).set(len(self.positions))
        if not reader.partitions:
            del self._topics[reader.topic]
        self._left((reader.topic, partition))

    @staticmethod
    def _park(parked: Iterable[Parked]) -> None:
        """Lets subscriptions wait until their streams have room."""
        by_outbox: dict[Outbox, list[Parked]] = {}
        for one in parked:
            by_outbox.setdefault(one.subscription.outbox, []).append(one)
        for outbox, group in by_outbox.items():
            outbox.park(group)

    def _failed(self, subscriptions: Iterable[Subscription], error: Exception) -> None:
        """Ends subscriptions that cannot be served because of a fault: better than to leave them silent."""
        log.error("subscription cannot be served", reader=self.name, exc_info=error)
        for subscription in subscriptions:
            self._end(subscription, error)

    @staticmethod
    def _end(subscription: Subscription, error: Exception) -> None:
        subscription.outbox.offer(Ended(subscription, error))
