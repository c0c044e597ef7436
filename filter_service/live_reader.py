"""The reader of what is written now: one per process, shared by all subscriptions.

`attach` is the only way in, for new subscriptions, for those that have caught up, and for those that were detached: it
is exact whatever the position. A subscription that is level with the reader or ahead of it simply joins; one that is a
little behind is served the newest records again, which are kept for that; one further behind is handed to `catch_up`.
Decisions only, see `reader`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from filter_service.kafka_source import Partition
from filter_service.reader import Assignment, Reader
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

HandOver = Callable[[Subscription, int, int], None]
"""Takes (subscription, partition, position) of a subscription that another reader is to serve. Any thread."""

RECORD_BYTES = 256
"""What a record costs on top of its payload while it is kept, so that many small ones, or tombstones, are bounded."""

REPLAYED_AT_A_TIME = 25
"""Subscriptions that are served newest records again between two batches: that costs some 0.5 ms each, in which the
others wait."""


class _Newest:
    """The newest records of a partition, up to a number of bytes: everything from offset `begin` on."""

    __slots__ = ("_batches", "_limit", "_size", "begin")

    def __init__(self, begin: int, limit: int) -> None:
        self.begin = begin
        self._limit = limit
        self._size = 0
        self._batches: deque[tuple[int, Sequence[KafkaRecord]]] = deque()

    def add(self, messages: Sequence[KafkaRecord]) -> None:
        size = sum(map(len, messages)) + RECORD_BYTES * len(messages)
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
        assignment: of its consumer.
        replay_bytes: bytes of the newest records kept per partition.
        behind: takes over subscriptions whose position lies further back.
    """

    def __init__(self, assignment: Assignment, replay_bytes: int, behind: HandOver) -> None:
        super().__init__("live", assignment)
        self._replay_bytes = replay_bytes
        self._behind = behind
        self._newest: dict[Partition, _Newest] = {}
        self._to_replay: dict[Partition, list[tuple[Subscription, int]]] = {}

    def settle(self) -> None:
        """Serves the newest records to those who came a little behind: to many of a round in one pass."""
        to_replay, self._to_replay = self._to_replay, {}
        for (topic, partition), everybody in to_replay.items():
            laggards, later = everybody[:REPLAYED_AT_A_TIME], everybody[REPLAYED_AT_A_TIME:]
            self.unsettled -= len(laggards)
            if later:
                self._to_replay[topic, partition] = later
            # Others may have left meanwhile, and the partition with them.
            behind = [(s, at) for s, at in laggards if not s.is_over and not self._place(s, partition, at, None)]
            if behind:
                self._replay(self._topics[topic], partition, behind)

    def _attach(self, subscription: Subscription, partition: int, start: int, begin: int | None) -> None:
        if not self._place(subscription, partition, start, begin):
            self._to_replay.setdefault((subscription.topic, partition), []).append((subscription, start))
            self.unsettled += 1

    def _place(self, subscription: Subscription, partition: int, start: int, begin: int | None) -> bool:
        """Finds a place for a subscription; False when it is here, but only after a replay of the newest records."""
        key = (subscription.topic, partition)
        position = self.positions.get(key)
        if position is None and begin is not None:
            self._open(subscription, partition, begin)
            self._newest[key] = _Newest(begin, self._replay_bytes)
            position = begin
        if position is None or start < self._newest[key].begin:
            self._behind(subscription, partition, start)
        elif start >= position:
            self._topics[subscription.topic].attach(subscription, partition, start)
        else:
            return False
        return True

    def _replay(self, reader: TopicReader, partition: int, behind: list[tuple[Subscription, int]]) -> None:
        newest = self._newest[reader.topic, partition]
        try:
            self._park(reader.replay(partition, behind, newest.since(min(start for _, start in behind))))
        except Exception as error:
            self._failed([subscription for subscription, _ in behind], error)
        self._release(reader, partition)

    def _after(self, reader: TopicReader, partition: int, messages: Sequence[KafkaRecord]) -> None:
        self._newest[reader.topic, partition].add(messages)

    def _at_end(self, reader: TopicReader, partition: int) -> None:
        pass

    def _again(self, subscription: Subscription, partition: int, start: int, end: int) -> None:
        self.attach(subscription, partition, start, end if start >= end else None)

    def _left(self, partition: Partition) -> None:
        if partition not in self.positions:
            self._newest.pop(partition, None)
