"""What the live reader and the catch-up readers have in common: a thread that owns one Kafka consumer.

Everything a reader knows changes only on its own thread, between batches, by commands put into its queue: one writer,
no locks in the hot path. Subclasses decide what happens around a batch.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from filter_service import metrics
from filter_service.errors import PositionGoneError
from filter_service.kafka_source import Partition, open_consumer
from filter_service.outbox import Ended, Missing, Outbox, Parked
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

log = structlog.get_logger(__name__)

IDLE_WAIT_SEC = 0.01
"""How long a reader waits for a record before it looks for commands: what a new subscription waits at most."""

Command = Callable[[], None]


class Reader(ABC):
    """One consumer, its partitions, and the subscriptions served from them.

    Args:
        name: of the thread and in metrics.
        properties: librdkafka properties from `kafka_source.client_properties`.
        batch_records: most records taken at a time.
        progress_interval: seconds between position notes.
        overrides: librdkafka properties of this kind of reader.
    """

    def __init__(
        self,
        name: str,
        properties: Mapping[str, str | int | bool],
        batch_records: int,
        progress_interval: float,
        **overrides: str | int | bool,
    ) -> None:
        self.name = name
        self._batch_records = batch_records
        self._progress_interval = progress_interval
        self._next_notes = 0.0
        self._batch_seconds = metrics.BATCH_SECONDS.labels(name)
        self._records_read = metrics.RECORDS_READ.labels(name)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._consumer: Consumer = open_consumer(properties, **overrides)
        self._topics: dict[str, TopicReader] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.positions: dict[Partition, int] = {}
        """Next offset of every partition being read; may be looked at from any thread."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the consumer; blocks until it is done."""

        def stop() -> None:
            self._stopping = True

        self.command(stop)
        self._thread.join()

    def command(self, command: Command) -> None:
        """Has `command` run on the reader's thread between two batches. Any thread."""
        self._commands.put(command)

    def forget(self, subscription: Subscription) -> None:
        """Stops serving a subscription. Any thread."""

        def forget() -> None:
            reader = self._topics.get(subscription.topic)
            if reader is not None:
                for partition in reader.detach_all(subscription):
                    self._release(reader, partition)

        self.command(forget)

    # ---- on the thread

    @abstractmethod
    def _after(self, reader: TopicReader, partition: int, messages: list[KafkaRecord]) -> None:
        """Called when records (none at the end of the partition) have been delivered."""

    @abstractmethod
    def _at_end(self, reader: TopicReader, partition: int) -> None:
        """Called when everything that a partition holds has been delivered."""

    @abstractmethod
    def _resume(self, subscription: Subscription, partition: int, start: int) -> None:
        """Has a subscription that is attached nowhere go on from `start`."""

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._execute()
                if self._stopping:
                    break
                if not self.positions:
                    self._commands.get()()
                    continue
                messages = self._consumer.consume(1, IDLE_WAIT_SEC)
                if messages:
                    if self._batch_records > 1:
                        messages += self._consumer.consume(self._batch_records - 1, 0)
                    started = time.perf_counter()
                    self._read(messages)
                    self._batch_seconds.observe(time.perf_counter() - started)
                    self._records_read.inc(len(messages))
                self._note_positions()
        except Exception:
            log.critical("reader died", reader=self.name, exc_info=True)
            raise
        finally:
            self._consumer.close()

    def _execute(self) -> None:
        while not self._stopping:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            try:
                command()
            except Exception:  # one subscription's trouble stays its own
                log.exception("command failed", reader=self.name)

    def _read(self, messages: list[Message]) -> None:
        # By partition: with many, every fetch brings a few records of each, and a batch costs more than a record.
        runs: dict[Partition, list[KafkaRecord]] = {}
        events: list[Message] = []
        ends: dict[Partition, Message] = {}
        begin = 0
        total = len(messages)
        while begin < total:
            first = messages[begin]
            topic, partition = first.topic(), first.partition()
            error = first.error()
            end = begin + 1
            if topic is None or partition is None or (error is not None and error.code() != KafkaError._PARTITION_EOF):
                events.append(first)
            elif error is not None:
                ends[topic, partition] = first
            else:
                while end < total:
                    message = messages[end]
                    if message.partition() != partition or message.error() is not None or message.topic() != topic:
                        break
                    end += 1
                run = cast(list[KafkaRecord], messages[begin:end])
                if (topic, partition) in runs:
                    runs[topic, partition] += run
                else:
                    runs[topic, partition] = run
                # More has come since: it was not the end.
                ends.pop((topic, partition), None)
            begin = end
        for (topic, partition), run in runs.items():
            self._deliver(topic, partition, run)
        for event in (*ends.values(), *events):
            self._event(event)

    def _deliver(self, topic: str, partition: int, messages: list[KafkaRecord]) -> None:
        reader = self._topics.get(topic)
        if reader is None or reader.position(partition) is None:
            return
        parked = reader.read(partition, messages)
        self.positions[topic, partition] = reader.position(partition) or 0
        self._park(parked)
        self._after(reader, partition, messages)

    @staticmethod
    def _park(parked: list[Parked]) -> None:
        by_outbox: dict[Outbox, list[Parked]] = {}
        for one in parked:
            by_outbox.setdefault(one.subscription.outbox, []).append(one)
        for outbox, group in by_outbox.items():
            outbox.park(group)

    def _event(self, message: Message) -> None:
        error = message.error()
        topic, partition = message.topic(), message.partition()
        reader = self._topics.get(topic) if topic is not None else None
        if error is None or reader is None or partition is None or reader.position(partition) is None:
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                log.warning("Kafka reports a problem", reader=self.name, problem=error.str())
            return
        if error.code() == KafkaError._PARTITION_EOF:
            reader.pass_holes(partition, message.offset() or 0)
            self.positions[reader.topic, partition] = reader.position(partition) or 0
            self._at_end(reader, partition)
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._end_all(reader, partition)
        else:
            log.warning(
                "Kafka reports a problem", reader=self.name, topic=topic, partition=partition, problem=error.str()
            )

    def _end_all(self, reader: TopicReader, partition: int) -> None:
        """The partition's position is not in Kafka: tells everybody for whom that is true (promise 3)."""
        first: int | None = None
        end: int | None = None
        with contextlib.suppress(KafkaException):
            first, end = self._consumer.get_watermark_offsets(TopicPartition(reader.topic, partition), timeout=2)
        for subscription in reader.takes_part(partition):
            position = reader.detach(subscription, partition) or 0
            if first is None or end is None or position > end or (position < first and not subscription.skips_gaps):
                subscription.outbox.offer(Ended(subscription, PositionGoneError(partition, position, first)))
                continue
            if position < first:
                subscription.outbox.offer(Missing(subscription, partition, position, first))
            self._resume(subscription, partition, max(position, first))
        self._release(reader, partition)

    def _open(self, topic: str, partition: int, offset: int) -> TopicReader:
        """Begins to read a partition at an offset."""
        reader = self._topics.get(topic)
        if reader is None:
            reader = self._topics[topic] = TopicReader(topic)
        self._consumer.incremental_assign([TopicPartition(topic, partition, offset)])
        reader.open_partition(partition, offset)
        self.positions[topic, partition] = offset
        metrics.PARTITIONS.labels(self.name).set(len(self.positions))
        return reader

    def _release(self, reader: TopicReader, partition: int) -> None:
        """Stops reading a partition if nobody uses it any more."""
        if reader.position(partition) is None or not reader.is_idle(partition):
            return
        self._consumer.incremental_unassign([TopicPartition(reader.topic, partition)])
        reader.close_partition(partition)
        del self.positions[reader.topic, partition]
        metrics.PARTITIONS.labels(self.name).set(len(self.positions))
        if not reader.partitions:
            del self._topics[reader.topic]

    def _note_positions(self) -> None:
        now = time.monotonic()
        if now < self._next_notes:
            return
        self._next_notes = now + self._progress_interval
        for reader in self._topics.values():
            reader.note_positions()
