"""The reader of what is written now: one consumer and one thread per process, shared by all subscriptions.

`attach` is the only way in, for new subscriptions, for those that have caught up, and for those that were detached: it
is exact whatever the position. A subscription that is level with the reader or ahead of it simply joins; one that is a
little behind is served the newest records again, which are kept for that; one further behind is handed to `catch_up`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from filter_service.kafka_source import Partition
from filter_service.reader import Reader
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

HandOver = Callable[[Subscription, int, int], None]
"""Takes (subscription, partition, position) of a subscription that another reader is to serve. Any thread."""


class _Newest:
    """The newest records of a partition, up to a number of bytes: everything from offset `begin` on."""

    __slots__ = ("_batches", "_limit", "_size", "begin")

    def __init__(self, begin: int, limit: int) -> None:
        self.begin = begin
        self._limit = limit
        self._size = 0
        self._batches: deque[tuple[int, list[KafkaRecord]]] = deque()

    def add(self, messages: list[KafkaRecord]) -> None:
        size = sum(map(len, messages))
        self._batches.append((size, messages))
        self._size += size
        while self._size > self._limit:
            dropped, gone = self._batches.popleft()
            self._size -= dropped
            self.begin = gone[-1].offset() + 1

    def since(self, offset: int) -> list[KafkaRecord]:
        return [m for _, messages in self._batches if messages[-1].offset() >= offset for m in messages]


class LiveReader(Reader):
    """Serves every subscription that is level with the newest records.

    Args:
        properties, batch_records, progress_interval: see `Reader`.
        replay_bytes: bytes of the newest records kept per partition.
        behind: takes over subscriptions whose position lies further back.
    """

    def __init__(
        self,
        properties: Mapping[str, str | int | bool],
        batch_records: int,
        progress_interval: float,
        replay_bytes: int,
        behind: HandOver,
    ) -> None:
        super().__init__("live", properties, batch_records, progress_interval)
        self._replay_bytes = replay_bytes
        self._behind = behind
        self._newest: dict[Partition, _Newest] = {}

    def attach(self, subscription: Subscription, partition: int, start: int, begin: int | None = None) -> None:
        """Serves a partition to a subscription from `start` on. Any thread.

        Args:
            start: offset of the first record to deliver.
            begin: an offset at or before `start` and close to the end of the partition, where reading may begin if
                nobody reads the partition yet; None when `start` may lie far back.
        """
        self.command(lambda: self._attach(subscription, partition, start, begin))

    def _attach(self, subscription: Subscription, partition: int, start: int, begin: int | None) -> None:
        if subscription.closed:
            return
        topic = subscription.topic
        position = self.positions.get((topic, partition))
        if position is None:
            if begin is None:
                self._behind(subscription, partition, start)
                return
            self._newest[topic, partition] = _Newest(begin, self._replay_bytes)
            position = begin
            self._open(topic, partition, begin)
        reader = self._topics[topic]
        if start >= position:
            reader.attach(subscription, partition, start)
            return
        newest = self._newest[topic, partition]
        if start < newest.begin:
            self._behind(subscription, partition, start)
        else:
            self._park(reader.replay(partition, [(subscription, start)], newest.since(start)))

    def _after(self, reader: TopicReader, partition: int, messages: list[KafkaRecord]) -> None:
        self._newest[reader.topic, partition].add(messages)
        self._release(reader, partition)

    def _at_end(self, reader: TopicReader, partition: int) -> None:
        pass

    def _resume(self, subscription: Subscription, partition: int, start: int) -> None:
        self._behind(subscription, partition, start)

    def _release(self, reader: TopicReader, partition: int) -> None:
        super()._release(reader, partition)
        if (reader.topic, partition) not in self.positions:
            self._newest.pop((reader.topic, partition), None)
