"""The thin wrapper around librdkafka: how clients are configured, and the questions asked of Kafka.

`KafkaLookups` is used from the event loop: its methods are coroutines, the blocking calls run on two threads of its
own. `open_consumer` is called by the reader threads (`live_reader`, `catch_up`), which own what it returns.
Third-party errors are translated here, once: nobody else catches `KafkaException`.

No consumer groups: readers `assign()` partitions at explicit offsets and commit nothing, so every replica can serve
every subscription (design, "One primitive: the position"). librdkafka insists on a `group.id`; it is never joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

from filter_service import metrics
from filter_service.coalescing import Coalescer
from filter_service.errors import KafkaUnavailableError
from filter_service.librdkafka_log import librdkafka_logger

log = structlog.get_logger(__name__)

T = TypeVar("T")

Partition = tuple[str, int]
"""Topic name and partition number."""

Answer = int | KafkaError
"""An offset, or why there is none."""

MAX_TOPIC_LENGTH = 249
"""Longest topic name Kafka accepts (`org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH`)."""

PROBE_TOPIC = "__consumer_offsets"
"""Asked about to see whether a broker answers: a request for one topic stays small on a large cluster."""

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]

NONE_SO_LATE = -1
"""Kafka's answer to the question for the first offset of a time that no record has."""

SHORTEST_SOCKET_TIMEOUT_MS, LONGEST_SOCKET_TIMEOUT_MS = 10, 300_000
"""What librdkafka takes."""

LOOKUP_THREADS = 2
RETRY_PAUSE_SEC = 0.1

ATTEMPT_SEC = 1.0
"""How long one attempt may take. librdkafka's admin client waits for a broker that is gone as long as it may, without
looking who leads now: so it is asked again and again, with new metadata in between. Metadata of all topics may take as
long as there is."""

# A partition that has just been created has no leader for a moment, and one whose leader died gets another: ask again.
TRANSIENT = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._NOENT,  # "No leaders found"
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError.REQUEST_TIMED_OUT,
    }
)

NOT_TO_BE_SEEN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED})
"""What Kafka says of a topic that does not exist, or not for this client."""

MOST_HIDDEN = 1000
"""Topics of which the log tells that they must not be seen: clients can name any number."""

NOT_KNOWN = KafkaError(KafkaError.OFFSET_NOT_AVAILABLE, "its leader does not answer")

# What readers need; an operator's KAFKA_WS_CONSUMER_* properties win over these.
READER_DEFAULTS: dict[str, str | int | bool] = {
    "isolation.level": "read_committed",
    # Reach 1M records/s: with librdkafka's defaults the fetcher pauses long before the reader is idle (design).
    "queued.min.messages": 500_000,
    "fetch.queue.backoff.ms": 10,
    # A partition joins a running fetch session only at its next request, so a long wait would delay new subscribers.
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 100,
    # A broker that hangs is left after this time (librdkafka: 60 s); Kafka gives its partitions to others after 9 s. An
    # answer must get through in it, however slow the network: it is smaller than librdkafka's 50 MB.
    "socket.timeout.ms": 5_000,
    "fetch.max.bytes": 16 * 1024 * 1024,
    "topic.metadata.refresh.interval.ms": 30_000,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
}
READER_FIXED: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Progress is the reader's position, not the last record: holes at the end (aborted transactions, compaction) count.
    "enable.partition.eof": True,
    # A position that Kafka no longer has must be told, never moved silently (promise 3).
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
}


def is_possible_topic(name: str) -> bool:
    """Whether Kafka could ever hold a topic of this name (`Topic.validate` in Apache Kafka)."""
    return (
        0 < len(name) <= MAX_TOPIC_LENGTH
        and name not in (".", "..")
        and name.isascii()
        and all(c.isalnum() or c in "._-" for c in name)
    )


def client_properties(bootstrap: str, passed_through: Mapping[str, str]) -> dict[str, str | int | bool]:
    """Properties every Kafka client of this service shares.

    Args:
        bootstrap: `host:port[,host:port...]`.
        passed_through: librdkafka properties set by the operator.
    """
    return {"client.id": "kafka-ws-filter", **passed_through, "bootstrap.servers": bootstrap}


def open_consumer(properties: Mapping[str, str | int | bool], **overrides: str | int | bool) -> Consumer:
    """A consumer for explicit assignment.

    Args:
        properties: from `client_properties`.
        overrides: librdkafka properties with underscores for dots; they win over defaults, not over `properties`.

    Raises:
        KafkaException: a property is unknown or has a wrong value.
    """
    own = {name.replace("_", "."): value for name, value in overrides.items()}
    settings = {"group.id": "kafka-ws", **READER_DEFAULTS, **own, **properties, **READER_FIXED}
    return Consumer(settings, logger=librdkafka_logger())


class KafkaLookups:
    """Metadata and offset questions, coalesced: callers that arrive while a request is in flight share the next one.

    Args:
        properties: from `client_properties`.
        timeout: seconds before a request counts as unanswered.

    All coroutines raise `KafkaUnavailableError` when Kafka does not answer in time.
    """

    def __init__(self, properties: Mapping[str, str | int | bool], timeout: float) -> None:
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="kafka-lookup")
        # A broker that hangs is left in time to ask another: librdkafka looks once a second for whom to leave.
        patience_ms = min(max(round(timeout * 400), SHORTEST_SOCKET_TIMEOUT_MS), LONGEST_SOCKET_TIMEOUT_MS)
        self._admin = AdminClient({"socket.timeout.ms": patience_ms, **properties}, logger=librdkafka_logger())
        self._isolation = (
            IsolationLevel.READ_UNCOMMITTED
            if properties.get("isolation.level") == "read_uncommitted"
            else IsolationLevel.READ_COMMITTED
        )
        self._ends: Coalescer[Partition, Answer] = Coalescer(lambda wanted: self._list_offsets(wanted, LATEST, "end"))
        self._beginnings: Coalescer[Partition, Answer] = Coalescer(
            lambda wanted: self._list_offsets(wanted, EARLIEST, "beginning")
        )
        self._counts = Coalescer(self._partition_counts)
        self._ids: Coalescer[str, bytes] = Coalescer(self._topic_ids)
        self._told_hidden: set[str] = set()

    async def check(self) -> None:
        """Raises `KafkaUnavailableError` unless Kafka answers what new subscriptions ask, and to the client that asks.

        A broker that is back is known to each connection in its own time: a client that gets metadata from one may
        wait for another yet. Where no broker is the one that knows topics' ids (librdkafka's mock), metadata suffices.
        """
        cluster = await self._metadata(PROBE_TOPIC)
        if cluster.controller_id in cluster.brokers:
            await self.topic_ids([PROBE_TOPIC])

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """Number of partitions of each topic; 0 for one that does not exist, or must not be seen."""
        return await self._counts.ask(topics)

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, bytes]:
        """Kafka's id of each topic, 16 bytes; empty for one that does not exist, or must not be seen. Coalesced too."""
        return await self._ids.ask(topics)

    async def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset the next record of each partition will get (with `read_committed`: the last stable offset)."""
        return await self._resolve(self._ends, partitions)

    async def beginning_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The first offset Kafka still has of each partition."""
        return await self._resolve(self._beginnings, partitions)

    async def offsets_at(self, partitions: Iterable[Partition], timestamp_ms: int) -> dict[Partition, int]:
        """The first offset whose timestamp is at or after `timestamp_ms`; the end where there is none."""
        spec = OffsetSpec.for_timestamp(timestamp_ms)
        found = await self._resolve(Coalescer(lambda wanted: self._list_offsets(wanted, spec, "timestamp")), partitions)
        late = [partition for partition, offset in found.items() if offset == NONE_SO_LATE]
        return {**found, **(await self.end_offsets(late))} if late else found

    def close(self) -> None:
        """Pending questions fail."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _partition_counts(self, topics: list[str]) -> dict[str, int]:
        # One request for all topics of the cluster costs less than many single ones; which of the two is cheaper
        # depends on the cluster, so few topics are asked for one by one.
        counts = dict.fromkeys(topics, 0)
        possible = [topic for topic in topics if is_possible_topic(topic)]
        for asked in [None] if len(possible) > 8 else possible:
            known = (await self._metadata(asked)).topics
            for topic in known.keys() & counts.keys():
                problem = known[topic].error
                if problem is None:
                    counts[topic] = len(known[topic].partitions)
                elif problem.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    self._tell_hidden(topic)
        return counts

    def _tell_hidden(self, topic: str) -> None:
        """Tells the operator, who alone can do something about it: a client cannot tell such a topic from none."""
        if topic not in self._told_hidden and len(self._told_hidden) < MOST_HIDDEN:
            self._told_hidden.add(topic)
            log.warning("Kafka does not let this service see a topic: allow it READ there", topic=topic)

    async def _topic_ids(self, topics: list[str]) -> dict[str, bytes]:
        learn_whom_to_ask = partial(self._metadata, topics[0])
        return await self._until_answered("asking for topic ids", partial(self._describe, topics), learn_whom_to_ask)

    async def _describe(self, topics: list[str]) -> dict[str, bytes]:
        # Published without types: `TopicDescription` with `.topic_id`, a `Uuid`.
        futures: dict[str, Future[Any]] = self._admin.describe_topics(
            TopicCollection(topics), request_timeout=min(self._timeout, ATTEMPT_SEC)
        )
        asked = {topic: asyncio.wrap_future(future) for topic, future in futures.items()}
        ids: dict[str, bytes] = {}
        # All are looked at, whatever one of them says: an exception that nobody takes would be logged.
        for topic, answer in zip(asked, await asyncio.gather(*asked.values(), return_exceptions=True), strict=True):
            if isinstance(answer, KafkaException) and answer.args[0].code() in NOT_TO_BE_SEEN:
                ids[topic] = b""
            elif isinstance(answer, BaseException):
                raise answer
            else:
                halves = (answer.topic_id.get_most_significant_bits(), answer.topic_id.get_least_significant_bits())
                ids[topic] = b"".join(half.to_bytes(8, "big", signed=True) for half in halves)
        return ids

    async def _metadata(self, topic: str | None) -> ClusterMetadata:
        # Through the client that is asked for offsets: it keeps the leaders it learns here, and would otherwise not
        # know a partition that was added until its next refresh, minutes later.
        attempt = self._timeout if topic is None else min(self._timeout, ATTEMPT_SEC)
        ask = partial(self._in_thread, partial(self._admin.list_topics, topic, timeout=attempt))
        return await self._until_answered("asking for metadata", ask)

    async def _until_answered(
        self, action: str, ask: Callable[[], Awaitable[T]], before_next: Callable[[], Awaitable[object]] | None = None
    ) -> T:
        """Asks again until there is an answer, or no time left."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._timeout
        while True:
            try:
                return await ask()
            except KafkaException as error:
                if error.args[0].code() not in TRANSIENT or now() + RETRY_PAUSE_SEC >= deadline:
                    raise KafkaUnavailableError(action, describe(error)) from error
            await asyncio.sleep(RETRY_PAUSE_SEC)
            if before_next is not None:
                await before_next()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _resolve(
        self, offsets: Coalescer[Partition, Answer], wanted: Iterable[Partition]
    ) -> dict[Partition, int]:
        """Asks until every partition has an offset; only the partitions of this caller can delay it."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._timeout
        found: dict[Partition, int] = {}
        missing = list(wanted)
        while missing:
            answers = await offsets.ask(missing)
            missing = []
            for partition, answer in answers.items():
                if isinstance(answer, int):
                    found[partition] = answer
                elif answer.code() in TRANSIENT and now() + RETRY_PAUSE_SEC < deadline:
                    missing.append(partition)
                else:
                    topic, number = partition
                    raise KafkaUnavailableError(f"asking for offsets of {topic}[{number}]", answer.str())
            if missing:
                await asyncio.sleep(RETRY_PAUSE_SEC)
                await self.partition_counts({topic for topic, _ in missing})  # where their leaders are now
        return found

    async def _list_offsets(self, wanted: list[Partition], spec: OffsetSpec, kind: str) -> dict[Partition, Answer]:
        metrics.LOOKUPS.labels(kind).inc()
        try:
            futures: dict[TopicPartition, Future[ListOffsetsResultInfo]] = self._admin.list_offsets(
                {TopicPartition(topic, number): spec for topic, number in wanted},
                isolation_level=self._isolation,
                request_timeout=min(self._timeout, ATTEMPT_SEC),
            )
        except KafkaException as error:
            raise KafkaUnavailableError(f"asking for {kind} offsets", describe(error)) from error
        asked = {(tp.topic, tp.partition): asyncio.wrap_future(future) for tp, future in futures.items()}
        await asyncio.wait(asked.values())
        answers: dict[Partition, Answer] = {}
        for partition, future in asked.items():
            try:
                offset = future.result().offset
            except KafkaException as error:
                answers[partition] = error.args[0]
            else:
                # Where the leader did not answer in time the result has no error, but an offset that is none (-1001).
                is_one = offset >= 0 or (kind == "timestamp" and offset == NONE_SO_LATE)
                answers[partition] = offset if is_one else NOT_KNOWN
        return answers


def describe(error: KafkaException) -> str:
    """The part of a `KafkaException` worth showing to a person."""
    details: Any = error.args[0] if error.args else error
    return details.str() if isinstance(details, KafkaError) else str(details)


__all__ = ["KafkaLookups", "Partition", "client_properties", "is_possible_topic", "open_consumer"]
