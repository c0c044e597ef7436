"""Runs a reader: a thread with a Kafka consumer of its own.

What the consumer delivers and what others want (`command`) becomes calls of the reader, on this thread and between
batches; the reader decides, see `reader`. Made by `readers`.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from filter_service import metrics
from filter_service.batch_pacing import BatchPacing
from filter_service.kafka_source import Partition, describe, open_consumer
from filter_service.reader import Assignment, Reader
from filter_service.stream_batch import KafkaRecord

log = structlog.get_logger(__name__)

IDLE_WAIT_SEC = 0.01
"""How long a reader waits for a record before it looks for commands: what a new subscription waits at most."""
COMMANDS_SEC = 0.02
"""How long commands may hold up records: thousands of subscriptions that come at once are dealt with piece by piece."""
WATERMARKS_TIMEOUT_SEC = 2.0
"""How long a reader waits to be told what a partition still has, when it no longer has what was to be read."""
METADATA_TIMEOUT_SEC = 2.0
DOUBT_SEC = 3.0
"""How long it has to be so that a partition ends before what has been read of it, until that is believed. A broker that
has hung, and goes on, takes itself for the leader that it was, and answers accordingly, until it has heard of the next
one: within a second, if it has not lost the others."""
DOUBT_LOOK_SEC = 0.25

Command = Callable[[], None]
R = TypeVar("R", bound=Reader)


class ReaderThread(Generic[R]):
    """A thread that owns one consumer and one reader.

    Args:
        name: of the thread.
        make_reader: makes the reader, given what it assigns partitions with.
        properties: librdkafka properties from `kafka_source.client_properties`.
        batch_records: most records taken at a time.
        progress_interval: seconds between position notes.
        died: called from the thread when it cannot go on because of a fault.
        overrides: librdkafka properties of this kind of reader.

    Attributes:
        reader: to be called from commands only.
    """

    def __init__(
        self,
        name: str,
        make_reader: Callable[[Assignment], R],
        properties: Mapping[str, str | int | bool],
        batch_records: int,
        progress_interval: float,
        died: Callable[[BaseException], None],
        **overrides: str | int | bool,
    ) -> None:
        self._batch_records = batch_records
        self._pacing = BatchPacing(batch_records)
        self._progress_interval = progress_interval
        self._next_notes = 0.0
        self._died = died
        self._batch_seconds = metrics.BATCH_SECONDS.labels(name)
        self._records_read = metrics.RECORDS_READ.labels(name)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._partitions = _ConsumerAssignment(
            lambda: open_consumer(properties, **overrides), lambda: self.reader.positions, f"{name}-metadata"
        )
        self._doubts: dict[Partition, _Doubt] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.reader = make_reader(self._partitions)

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
        """Has `command` run on the thread, between two batches. Any thread."""
        self._commands.put(command)

    @property
    def backlog(self) -> int:
        """How much is asked of the reader that it has not done yet. Any thread."""
        return self._commands.qsize() + self.reader.unsettled

    # ---- on the thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._execute_commands()
                if self.reader.positions and not self._stopping:
                    self._look_again()
                    self._consume()
                    self._note_positions()
        except BaseException as error:
            log.critical("reader died", reader=self.reader.name, exc_info=True)
            self._died(error)
        finally:
            self._partitions.close()

    def _execute_commands(self) -> None:
        """Runs what is queued, for a while; waits for something to do when nothing is read."""
        command = self._next_command(block=not self.reader.positions and not self.reader.unsettled)
        until = time.monotonic() + COMMANDS_SEC
        while command is not None:
            try:
                command()
            except Exception:  # one subscription's trouble stays its own
                log.exception("command failed", reader=self.reader.name)
            is_over = self._stopping or time.monotonic() >= until
            command = None if is_over else self._next_command(block=False)
        self.reader.settle()

    def _next_command(self, *, block: bool) -> Command | None:
        try:
            return self._commands.get(block=block)
        except queue.Empty:
            return None

    def _consume(self) -> None:
        consumer = self._partitions.consumer
        messages = consumer.consume(1, IDLE_WAIT_SEC)
        if not messages:
            return
        gather_sec = self._pacing.wait_sec(time.perf_counter())
        if gather_sec > 0:
            time.sleep(gather_sec)
        if self._batch_records > 1:
            messages += consumer.consume(self._batch_records - 1, 0)
        started = time.perf_counter()
        self._pacing.took(len(messages), started)
        self._read(messages)
        self._batch_seconds.observe(time.perf_counter() - started)
        self._records_read.inc(len(messages))

    def _read(self, messages: list[Message]) -> None:
        """Tells the reader, partition by partition."""
        # However they are mixed: with many partitions every fetch brings a few records of each, and to deliver a batch
        # costs more than to deliver a record.
        if not any([message.error() for message in messages]):  # noqa: C419 - a list is quicker
            partitions = {message.partition() for message in messages}
            topics = {message.topic() for message in messages}
            if len(partitions) == len(topics) == 1:  # mostly; this is quicker than to look at each for itself
                self.reader.records(topics.pop() or "", partitions.pop() or 0, cast(list[KafkaRecord], messages))
                return
        runs: dict[Partition, list[KafkaRecord]] = {}
        events: list[Message] = []
        ends: dict[Partition, Message] = {}
        begin, total = 0, len(messages)
        while begin < total:
            first = messages[begin]
            topic, partition, error = first.topic(), first.partition(), first.error()
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
            self.reader.records(topic, partition, run)
        for event in (*ends.values(), *events):
            self._event(event)

    def _event(self, message: Message) -> None:
        error, topic, partition = message.error(), message.topic(), message.partition()
        code = None if error is None else error.code()
        if topic is None or partition is None or (topic, partition) not in self.reader.positions:
            if code != KafkaError._PARTITION_EOF:
                log.warning("Kafka reports a problem", reader=self.reader.name, problem=str(error))
        elif code == KafkaError._PARTITION_EOF:
            self.reader.reached_end(topic, partition, message.offset() or 0)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._out_of_range(topic, partition)
        else:
            log.warning(
                "Kafka reports a problem",
                reader=self.reader.name,
                topic=topic,
                partition=partition,
                problem=str(error),
            )

    def _out_of_range(self, topic: str, partition: int) -> None:
        try:
            first, end = self._partitions.consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=WATERMARKS_TIMEOUT_SEC
            )
        except KafkaException as error:
            # Nobody knows what is left. Reading there again gives the same error again when Kafka is back.
            log.warning("Kafka does not say what it has", topic=topic, partition=partition, problem=describe(error))
            self._partitions.assign_again(topic, partition)
        else:
            position = self.reader.positions[topic, partition]
            if end >= position or self._is_believed((topic, partition), position, end):
                self.reader.out_of_range(topic, partition, first, end)

    def _is_believed(self, partition: Partition, position: int, end: int) -> bool:
        """Whether a partition really ends before what has been read of it; if not, it is looked at again soon."""
        now = time.monotonic()
        doubt = self._doubts.get(partition)
        if doubt is None or doubt.position != position or doubt.is_over(now):
            log.warning("a partition is said to end before what was read: asking again", partition=partition, end=end)
            doubt = self._doubts[partition] = _Doubt(now, position, end)
        # A partition that grows has a leader.
        if doubt.end != end or now >= doubt.since + DOUBT_SEC:
            del self._doubts[partition]
            return True
        doubt.look_at = now + DOUBT_LOOK_SEC
        self._partitions.ask_for_leader(partition[0])
        return False

    def _look_again(self) -> None:
        if not self._doubts:
            return
        now = time.monotonic()
        for partition, doubt in list(self._doubts.items()):
            if partition not in self.reader.positions or doubt.is_over(now):
                del self._doubts[partition]
            elif now >= doubt.look_at:
                doubt.look_at = math.inf
                self._partitions.assign_again(*partition)

    def _note_positions(self) -> None:
        now = time.monotonic()
        if now >= self._next_notes:
            self._next_notes = now + self._progress_interval
            self.reader.note_positions()


@dataclass(slots=True)
class _Doubt:
    """That a partition ends where Kafka says.

    Attributes:
        since: when it was said first, in seconds of the monotonic clock.
        position: the offset that was to be read.
        end: the offset that was named.
        look_at: when to read there again; infinite while an answer is awaited.
    """

    since: float
    position: int
    end: int
    look_at: float = math.inf

    def is_over(self, now: float) -> bool:
        """Whether Kafka would have said so again by now."""
        return now >= self.since + 2 * DOUBT_SEC + WATERMARKS_TIMEOUT_SEC


class _ConsumerAssignment:
    """A consumer and its partitions.

    A consumer that is assigned a partition of a topic it does not know asks who leads it only once a second. So the
    first time a partition is assigned, the consumer is made to ask at once: on a thread of its own, since nobody else
    shall wait for the answer.

    For a topic that was deleted and created again, librdkafka (2.16) goes by the leader epochs of the old one, and
    fetches nothing until the new one has had as many leaders. A consumer that has met the old one is replaced then, and
    so is one that has met a topic whose id was not known at the time.

    Args:
        make: opens a consumer.
        positions: next offsets of what is assigned, for a new consumer to go on from.
        thread_name: of the thread that asks.

    Attributes:
        consumer: to be used by its thread, and here for metadata.
    """

    def __init__(
        self, make: Callable[[], Consumer], positions: Callable[[], Mapping[Partition, int]], thread_name: str
    ) -> None:
        self._make = make
        self._positions = positions
        self._known: set[Partition] = set()
        self._topic_ids: dict[str, bytes] = {}  # of what the consumer has met; empty: it was not known
        self._asking: set[str] = set()
        self._asker = ThreadPoolExecutor(1, thread_name_prefix=thread_name)
        self.consumer = make()

    def assign(self, topic: str, partition: int, offset: int, topic_id: bytes) -> None:
        known = self._topic_ids.setdefault(topic, topic_id)
        if topic_id and known != topic_id:
            log.info("topic may be another one than before: a new consumer goes on", topic=topic, was_known=bool(known))
            self._replace()
            self._topic_ids[topic] = topic_id
        self.consumer.incremental_assign([TopicPartition(topic, partition, offset)])
        self._ask_for(topic, partition)

    def unassign(self, topic: str, partition: int) -> None:
        self.consumer.incremental_unassign([TopicPartition(topic, partition)])

    def ask_for_leader(self, topic: str) -> None:
        """Has the consumer learn who leads a topic's partitions now."""
        self._asker.submit(self._ask, topic)

    def assign_again(self, topic: str, partition: int) -> None:
        """Reads a partition anew from where it stands."""
        self.unassign(topic, partition)
        self.consumer.incremental_assign([TopicPartition(topic, partition, self._positions()[topic, partition])])

    def close(self) -> None:
        """The thread has ended."""
        self._asker.shutdown(cancel_futures=True)
        self.consumer.close()

    def _replace(self) -> None:
        """Goes on with a consumer that knows nothing yet. What the old one has fetched is fetched again."""
        left, self.consumer = self.consumer, self._make()
        # Behind its last question, and without anybody waiting for it.
        self._asker.submit(left.close)
        self._known.clear()
        self._topic_ids.clear()
        positions = self._positions()
        self.consumer.incremental_assign([TopicPartition(*key, offset) for key, offset in positions.items()])
        for key in positions:
            self._ask_for(*key)

    def _ask_for(self, topic: str, partition: int) -> None:
        if (topic, partition) not in self._known:
            self._known.add((topic, partition))
            if topic not in self._asking:
                self._asking.add(topic)
                self._asker.submit(self._ask, topic)

    def _ask(self, topic: str) -> None:
        self._asking.discard(topic)  # what is assigned from now on may not be in the answer
        with contextlib.suppress(KafkaException):
            self.consumer.list_topics(topic, timeout=METADATA_TIMEOUT_SEC)
