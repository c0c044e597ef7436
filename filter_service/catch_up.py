"""Readers of the past, for subscriptions that are behind: `earliest`, timestamps, positions, and slow streams.

A few consumers, each on its own thread, bounded in what they prefetch. A subscription is served by a reader that is at
or before its position on that partition, so several laggards share one pass. When it has come level with the live
reader (or with the end of the partition) it is handed over by position: `LiveReader.attach` is exact, and sends it
back here if the live reader has moved on too far meanwhile.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping

from filter_service.kafka_source import Partition
from filter_service.live_reader import HandOver
from filter_service.reader import Reader
from filter_service.stream_batch import KafkaRecord
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader

PREFETCH_KBYTES = 8 * 1024
"""Most that one catch-up consumer holds per partition: the past is read as fast as it is sent, not faster."""


class CatchUpReader(Reader):
    """One consumer that reads the past."""

    def __init__(
        self,
        number: int,
        properties: Mapping[str, str | int | bool],
        batch_records: int,
        progress_interval: float,
        pool: CatchUpReaders,
    ) -> None:
        super().__init__(
            f"catch-up-{number}",
            properties,
            batch_records,
            progress_interval,
            queued_min_messages=20_000,
            queued_max_messages_kbytes=PREFETCH_KBYTES,
        )
        self._pool = pool

    def attach(self, subscription: Subscription, partition: int, start: int) -> None:
        """Serves a partition from `start` on until it is level with the live reader. Any thread."""
        self.command(lambda: self._attach(subscription, partition, start))

    def _attach(self, subscription: Subscription, partition: int, start: int) -> None:
        if subscription.closed:
            self._pool.released((subscription.topic, partition))
            return
        position = self.positions.get((subscription.topic, partition))
        if position is None:
            self._open(subscription.topic, partition, start)
        elif position > start:
            self._pool.attach(subscription, partition, start)
            return
        self._topics[subscription.topic].attach(subscription, partition, start)

    def _after(self, reader: TopicReader, partition: int, messages: list[KafkaRecord]) -> None:
        live = self._pool.live_position((reader.topic, partition))
        if live is not None and self.positions[reader.topic, partition] >= live:
            self._hand_over(reader, partition)
        self._release(reader, partition)

    def _at_end(self, reader: TopicReader, partition: int) -> None:
        self._hand_over(reader, partition)
        self._release(reader, partition)

    def _hand_over(self, reader: TopicReader, partition: int) -> None:
        for subscription in reader.level_with(partition):
            position = reader.detach(subscription, partition)
            if position is not None:
                self._pool.caught_up(subscription, partition, position)

    def _resume(self, subscription: Subscription, partition: int, start: int) -> None:
        self._pool.attach(subscription, partition, start)

    def _release(self, reader: TopicReader, partition: int) -> None:
        super()._release(reader, partition)
        if (reader.topic, partition) not in self.positions:
            self._pool.released((reader.topic, partition))


class CatchUpReaders:
    """The catch-up readers, and who waits for one.

    Args:
        count: number of consumers.
        properties, batch_records, progress_interval: see `Reader`.
        live_positions: of the live reader.
        level: takes over subscriptions that have caught up.
    """

    def __init__(
        self,
        count: int,
        properties: Mapping[str, str | int | bool],
        batch_records: int,
        progress_interval: float,
    ) -> None:
        self._live_positions: Mapping[Partition, int] = {}
        self._level: HandOver | None = None
        self._lock = threading.Lock()
        self._waiting: dict[Partition, list[tuple[Subscription, int]]] = defaultdict(list)
        self._readers = [
            CatchUpReader(number, properties, batch_records, progress_interval, self) for number in range(1, count + 1)
        ]

    def start(self, live_positions: Mapping[Partition, int], level: HandOver) -> None:
        """Starts the threads.

        Args:
            live_positions: next offsets of the live reader.
            level: takes over subscriptions that have caught up.
        """
        self._live_positions = live_positions
        self._level = level
        for reader in self._readers:
            reader.start()

    def stop(self) -> None:
        """Ends the threads."""
        for reader in self._readers:
            reader.stop()

    def forget(self, subscription: Subscription) -> None:
        """Stops serving a subscription. Any thread."""
        for reader in self._readers:
            reader.forget(subscription)

    def attach(self, subscription: Subscription, partition: int, start: int) -> None:
        """Serves a partition to a subscription from `start` on until it is level. Any thread."""
        key = (subscription.topic, partition)
        with self._lock:
            reader = self._choose(key, start)
            if reader is None:
                self._waiting[key].append((subscription, start))
                return
        reader.attach(subscription, partition, start)

    def live_position(self, key: Partition) -> int | None:
        """Next offset of the live reader; None when it does not read the partition."""
        return self._live_positions.get(key)

    def caught_up(self, subscription: Subscription, partition: int, position: int) -> None:
        """Hands a subscription to the live reader."""
        assert self._level is not None, "started"  # noqa: S101
        self._level(subscription, partition, position)

    def released(self, key: Partition) -> None:
        """A reader has finished with a partition: those who wait for one may have it."""
        with self._lock:
            waiting = self._waiting.pop(key, [])
        for subscription, start in sorted(waiting, key=lambda entry: entry[1]):
            self.attach(subscription, key[1], start)

    def _choose(self, key: Partition, start: int) -> CatchUpReader | None:
        """A reader that has not passed `start`, else one that does not read the partition; None when there is none."""
        behind = [r for r in self._readers if (p := r.positions.get(key)) is not None and p <= start]
        if behind:
            return max(behind, key=lambda reader: reader.positions.get(key, 0))
        free = [reader for reader in self._readers if key not in reader.positions]
        return min(free, key=lambda reader: len(reader.positions), default=None)
