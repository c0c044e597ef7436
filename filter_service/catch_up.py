"""Readers of the past, for subscriptions that are behind: `earliest`, timestamps, positions, and slow streams.

There are a few of them, bounded in what they prefetch. A subscription is served by a reader that is at its position or
a little before it, so several laggards share one pass. When it has come level with the live reader (or with the end of
the partition) it is handed over by position: the live reader's `attach` is exact, and sends it back here if the live
reader has moved on too far meanwhile.

Where laggards of one partition are further apart than there are readers, they take turns, so that nobody waits for a
pass through the whole history. Decisions only, see `reader`.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from filter_service.kafka_source import Partition
from filter_service.live_reader import HandOver
from filter_service.reader import Assignment, Reader
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

SHARED_DISTANCE = 100_000
"""Offsets that a subscription may be ahead of a reader to share its pass: what is read in about half a second."""

TURN_BYTES = 32 * 1024 * 1024
"""Payload bytes that a reader reads of a partition before others who wait have their turn: seeking costs a tenth of a
second, this takes a second or two."""

Level = Callable[[Subscription, int, int, int], None]
"""Takes (subscription, partition, start, position) of one that has caught up; `position` is close to the end."""


class CatchUpReader(Reader):
    """One consumer that reads the past.

    Args:
        number: from 1.
        assignment: of its consumer.
        pool: it belongs to.
        turn_bytes, shared_distance: see `TURN_BYTES` and `SHARED_DISTANCE`.
    """

    def __init__(
        self,
        number: int,
        assignment: Assignment,
        pool: CatchUpPool,
        turn_bytes: int = TURN_BYTES,
    ) -> None:
        super().__init__(f"catch-up-{number}", assignment)
        self._pool = pool
        self._turn_bytes = turn_bytes
        self._turns: dict[Partition, int] = {}
        """Bytes read of a partition since somebody waits for it."""

    def _attach(self, subscription: Subscription, partition: int, start: int, begin: int | None) -> None:
        position = self.positions.get((subscription.topic, partition))
        if position is None:
            self._open(subscription, partition, start)
        elif not self._pool.is_near(position, start):
            # It has moved on since it was chosen.
            self._pool.attach(subscription, partition, start)
            return
        self._topics[subscription.topic].attach(subscription, partition, start)

    def _after(self, reader: TopicReader, partition: int, messages: Sequence[KafkaRecord]) -> None:
        key = (reader.topic, partition)
        live = self._pool.live_position(key)
        if live is not None and self.positions[key] >= live:
            self._hand_over(reader, partition, reader.level_with(partition))
        if self._pool.is_waited_for(key):
            self._turns[key] = self._turns.get(key, 0) + sum(map(len, messages))
            if self._turns[key] >= self._turn_bytes:
                self._give_way(reader, partition)

    def _at_end(self, reader: TopicReader, partition: int) -> None:
        self._hand_over(reader, partition, reader.takes_part(partition))

    def _again(self, subscription: Subscription, partition: int, start: int, end: int) -> None:
        if start >= end:
            self._pool.level(subscription, partition, start, end)
        else:
            self._pool.attach(subscription, partition, start)

    def _hand_over(self, reader: TopicReader, partition: int, subscriptions: Iterable[Subscription]) -> None:
        level = self.positions[reader.topic, partition]
        for subscription in subscriptions:
            start = reader.detach(subscription, partition)
            if start is not None:
                self._pool.level(subscription, partition, start, level)

    def _give_way(self, reader: TopicReader, partition: int) -> None:
        # Those who did not get anything in this turn are before those who did.
        level = set(reader.level_with(partition))
        leaving = sorted(reader.takes_part(partition), key=level.__contains__)
        waiting = [(subscription, reader.detach(subscription, partition) or 0) for subscription in leaving]
        self._pool.wait((reader.topic, partition), waiting)

    def _left(self, partition: Partition) -> None:
        self._turns.pop(partition, None)
        self._pool.released(partition)


class CatchUpPool:
    """The catch-up readers, and who waits for one. Any thread.

    Args:
        live_positions: next offsets of the live reader.
        level: takes over subscriptions that have caught up.
        shared_distance: see `SHARED_DISTANCE`.
    """

    def __init__(
        self, live_positions: Mapping[Partition, int], level: Level, shared_distance: int = SHARED_DISTANCE
    ) -> None:
        self._live_positions = live_positions
        self.level = level
        self._shared_distance = shared_distance
        self._readers: list[tuple[Mapping[Partition, int], HandOver]] = []
        self._lock = threading.Lock()
        self._waiting: defaultdict[Partition, list[tuple[Subscription, int]]] = defaultdict(list)

    def join(self, positions: Mapping[Partition, int], attach: HandOver) -> None:
        """Adds a reader; to be done before the first `attach`.

        Args:
            positions: next offsets of the partitions it reads.
            attach: has it serve a subscription; any thread.
        """
        self._readers.append((positions, attach))

    def attach(self, subscription: Subscription, partition: int, start: int) -> None:
        """Serves a partition to a subscription from `start` on until it is level."""
        key = (subscription.topic, partition)
        with self._lock:
            attach = self._choose(key, start)
            if attach is None:
                self._waiting[key].append((subscription, start))
                return
        attach(subscription, partition, start)

    def live_position(self, key: Partition) -> int | None:
        """Next offset of the live reader; None when it does not read the partition."""
        return self._live_positions.get(key)

    def is_near(self, position: int, start: int) -> bool:
        """Whether a reader at `position` may serve a subscription that begins at `start`."""
        return position <= start <= position + self._shared_distance

    def is_waited_for(self, key: Partition) -> bool:
        """Whether somebody waits for a reader of a partition."""
        return key in self._waiting

    def wait(self, key: Partition, laggards: Iterable[tuple[Subscription, int]]) -> None:
        """Has subscriptions wait, behind those who do already, until a reader has `released` the partition."""
        with self._lock:
            self._waiting[key] += laggards

    def released(self, key: Partition) -> None:
        """A reader has finished with a partition: those who wait for one may have it, the first of them for sure."""
        with self._lock:
            waiting = self._waiting.pop(key, [])
        for subscription, start in waiting:
            self.attach(subscription, key[1], start)

    def _choose(self, key: Partition, start: int) -> HandOver | None:
        """A reader that is near, else one that does not read the partition; None when there is none."""
        near = [
            (position, attach)
            for positions, attach in self._readers
            if (position := positions.get(key)) is not None and self.is_near(position, start)
        ]
        if near:
            return max(near, key=lambda reader: reader[0])[1]
        free = [(len(positions), attach) for positions, attach in self._readers if key not in positions]
        return min(free, key=lambda reader: reader[0])[1] if free else None
