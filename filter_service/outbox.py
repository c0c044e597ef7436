"""What waits to be sent on one gRPC stream: bounded, and the only thing reader threads and the event loop share.

Reader threads `offer` whole batches; the stream's writer on the event loop `take`s everything that is there. An offer
that finds the outbox full is refused: the reader then detaches the stream's subscriptions and `park`s them with their
positions. When the outbox has drained, the writer gets them from `take_parked` and they catch up from Kafka. So a
slow stream costs at most `limit` bytes plus one batch, and never a record.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from filter_service import metrics

if TYPE_CHECKING:
    from filter_service.subscription import Subscription

Delivery = tuple["Subscription", Sequence[int] | None]
"""A subscription, and the indexes of the values of a batch that it takes, increasing; None: all."""


@dataclass(slots=True, frozen=True)
class Metadata:
    """Key and headers of a record."""

    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def size(self) -> int:
        """Bytes of all of it (of a header's name, characters)."""
        return len(self.key or b"") + sum(len(name) + len(value or b"") for name, value in self.headers)


@dataclass(slots=True)
class Batch:
    """Matching records of one partition, column by column, and who takes which.

    Attributes:
        partition: partition number.
        offsets, timestamps, values: one entry per distinct value; `timestamps` in ms since the epoch, -1 for none.
        metadata: one entry per value, or None when no subscription asked for it.
        deliveries: which values each subscription takes.
        next_offset: position of the listed subscriptions behind this batch.
        size: bytes of all values, keys and headers, and of the indexes.
    """

    INDEX_BYTES: ClassVar[int] = 8
    """What an index in a list takes."""

    partition: int
    offsets: list[int]
    timestamps: list[int]
    values: list[bytes]
    metadata: list[Metadata] | None
    deliveries: list[Delivery]
    next_offset: int
    size: int


@dataclass(slots=True)
class PositionNote:
    """Nothing was left out before `next_offset` for these subscriptions."""

    subscriptions: list[Subscription]
    partition: int
    next_offset: int


@dataclass(slots=True)
class Ended:
    """A subscription that a reader had to end, and why."""

    subscription: Subscription
    reason: Exception


@dataclass(slots=True)
class Parked:
    """A subscription's partition that was detached because the stream fell behind."""

    subscription: Subscription
    partition: int
    position: int


@dataclass(slots=True)
class Missing:
    """Records of a subscription's partition that Kafka no longer has: from `first` up to, not including, `end`."""

    subscription: Subscription
    partition: int
    first: int
    end: int


@dataclass(slots=True)
class TopicNote:
    """The topic of these subscriptions has appeared or grown."""

    subscriptions: list[Subscription]
    topic_id: bytes
    partition_count: int


Item = Batch | PositionNote | Ended | Missing | TopicNote


class Outbox:
    """The queue in front of one stream.

    Args:
        limit: bytes that may wait; a batch is accepted while less than this is waiting.
        wake: called (from any thread) when something was put in; must be cheap and must not block.
    """

    ITEM_OVERHEAD = 256
    """Bytes charged per item on top of its values, so that many small items are bounded too."""

    def __init__(self, limit: int, wake: Callable[[], None]) -> None:
        self._limit = limit
        self._low = limit // 2
        self._wake = wake
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._parked: list[Parked] = []
        self._size = 0
        self._discarded = False

    @property
    def size(self) -> int:
        """Bytes that wait now."""
        return self._size

    def offer(self, item: Item) -> bool:
        """Adds an item, or returns False when the outbox is full. Any thread."""
        cost = self._cost(item)
        with self._lock:
            if self._discarded:
                return True
            # What must not get lost is told in any case; there is little of it.
            if self._size >= self._limit and isinstance(item, Batch | PositionNote):
                return False
            self._items.append(item)
            self._size += cost
        metrics.OUTBOX_BYTES.inc(cost)
        self._wake()
        return True

    def park(self, parked: list[Parked]) -> None:
        """Keeps detached subscriptions until there is room. Any thread."""
        with self._lock:
            if self._discarded:
                return
            self._parked += parked
        self._wake()

    def take(self) -> list[Item]:
        """Everything that waits, oldest first. It counts as waiting until `sent`. Event loop."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def sent(self, item: Item) -> None:
        """Frees the room of an item that was taken and has been written. Event loop."""
        self._free(self._cost(item))

    def take_parked(self) -> list[Parked]:
        """The parked subscriptions, once less than half of the limit is waiting; else nothing. Event loop."""
        with self._lock:
            if self._size > self._low or not self._parked:
                return []
            parked, self._parked = self._parked, []
            return parked

    def discard(self) -> None:
        """Drops everything, now and whatever readers still offer: the stream has ended. Event loop."""
        with self._lock:
            self._discarded = True
            self._items.clear()
            self._parked.clear()
        self._free(self._size)

    def _free(self, cost: int) -> None:
        with self._lock:
            cost = min(cost, self._size)  # nothing is left of a discarded outbox
            self._size -= cost
        metrics.OUTBOX_BYTES.dec(cost)

    def _cost(self, item: Item) -> int:
        return self.ITEM_OVERHEAD + (item.size if isinstance(item, Batch) else 0)
