"""What each gRPC stream gets of a batch of records: values, each at most once, and which subscriptions take which.

Used by `topic_reader` on its reader's thread; everything here belongs to that thread. The work is done column by
column and not record by record: when nobody filters, or all filter alike, a record costs no step of its own here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import structlog

from filter_service import metrics
from filter_service.matching import RuleEntry
from filter_service.outbox import Batch, Delivery, Metadata, Outbox
from filter_service.projection import Projection
from filter_service.record import Record
from filter_service.subscription import Subscription

log = structlog.get_logger(__name__)


class KafkaRecord(Protocol):
    """What is used of a `confluent_kafka.Message` that holds a record and no error."""

    def __len__(self) -> int:
        """Bytes of the payload."""

    def offset(self) -> int:
        """Offset in the partition."""

    def value(self) -> bytes | None:
        """Payload; None for a tombstone."""

    def key(self) -> bytes | None:
        """Key; None when there is none."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Headers in order; None when there are none."""

    def timestamp(self) -> tuple[int, int]:
        """(type, ms since the epoch)."""


class Projector:
    """One distinct projection on a topic, run once per record whatever the number of streams."""

    __slots__ = ("_cut", "projection", "users")

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.users = 0
        self._cut: dict[int, bytes | None] = {}  # of the batch at hand, by place

    def cut(self, place: int, record: Record) -> None:
        """Cuts the record at a place, once."""
        try:
            if place not in self._cut:
                self._cut[place] = self.projection.apply(record)
        except Exception:  # a poisonous record must not stop the others (promise 5)
            metrics.RECORDS_FAILED.inc()
            log.exception("projection failed", projection=repr(self.projection))
            self._cut[place] = None

    def values(self, places: Iterable[int]) -> list[bytes | None]:
        """What is left of the records at these places; None where nothing is, or where cutting failed."""
        cut = self._cut
        return [cut[place] for place in places]

    def forget(self) -> None:
        """The batch is done."""
        self._cut.clear()


class Outlet:
    """One projection of one stream.

    Attributes:
        projector: None for whole records.
    """

    __slots__ = ("projector", "users")

    def __init__(self, projector: Projector | None) -> None:
        self.projector = projector
        self.users = 0

    def values(self, matched: Matched, places: list[int]) -> tuple[list[int], list[bytes]]:
        """What is sent of the records at these places, and at which of them there is something to send."""
        if self.projector is None:
            texts = matched.texts
            return places, texts if len(places) == len(texts) else list(map(texts.__getitem__, places))
        cut = self.projector.values(places)
        if None not in cut:
            return places, cut  # type: ignore[return-value]  # `not in` does not narrow
        kept = [(place, value) for place, value in zip(places, cut, strict=True) if value is not None]
        return [place for place, _ in kept], [value for _, value in kept]


class Member:
    """A subscription in a reader.

    Attributes:
        level: partitions on which it takes what is read.
        waiting: partition -> offset from which it will.
    """

    __slots__ = ("level", "outlet", "stream", "subscription", "waiting")

    def __init__(self, subscription: Subscription, stream: Stream, outlet: Outlet) -> None:
        self.subscription = subscription
        self.stream = stream
        self.outlet = outlet
        self.level: set[int] = set()
        self.waiting: dict[int, int] = {}


class Matched:
    """Which records of a batch some rule matches. A *place* is a record's number in the batch, from 0 on.

    Args:
        messages: the records of the batch.

    Attributes:
        texts: what is sent of each record when it is not cut: valid JSON in UTF-8; empty for what is never sent.
        places: for each entry of the rule index that matches any, where its records are, increasing.
    """

    __slots__ = ("_messages", "places", "texts")

    def __init__(self, messages: Sequence[KafkaRecord]) -> None:
        self._messages = messages
        self.texts = [b""] * len(messages)
        self.places: dict[RuleEntry[Member], list[int]] = {}

    def add(self, found: Mapping[RuleEntry[Member], list[int]], places: Sequence[int], texts: Sequence[bytes]) -> None:
        """Notes what matches some more of the records.

        Args:
            found: for each entry, the numbers of its records among these.
            places, texts: one of each for every one of these records.
        """
        if isinstance(places, range):
            self.texts[places.start : places.stop] = texts
        else:
            for place, text in zip(places, texts, strict=True):
                self.texts[place] = text
        for entry, rows in found.items():
            there = list(places) if len(rows) == len(places) else [places[row] for row in rows]
            if entry in self.places:
                self.places[entry] += there
            else:
                self.places[entry] = there

    def offsets(self, places: Iterable[int]) -> list[int]:
        """Offsets of the records at some places."""
        return [self._messages[place].offset() for place in places]

    def timestamps(self, places: Iterable[int]) -> list[int]:
        """Timestamps of the records at some places, ms since the epoch."""
        return [self._messages[place].timestamp()[1] for place in places]

    def metadata(self, places: Iterable[int]) -> list[Metadata]:
        """Keys and headers of the records at some places."""
        messages = map(self._messages.__getitem__, places)
        return [Metadata(message.key(), tuple(message.headers() or ())) for message in messages]


Taker = tuple[Member, list[int]]
"""A subscription, and the places of the records it takes."""


class Stream:
    """One gRPC stream and its subscriptions on one topic."""

    __slots__ = ("members", "metadata_users", "outbox", "outlets")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.outlets: dict[Projection | None, Outlet] = {}
        self.members: dict[Subscription, Member] = {}
        self.metadata_users = 0

    def batch(self, matched: Matched, takers: Iterable[Taker], partition: int, next_offset: int) -> Batch | None:
        """What this stream gets; None when the projections leave nothing.

        Args:
            takers: subscriptions of this stream, and the places of what each takes.
            next_offset: the position behind the batch.
        """
        by_outlet: dict[Outlet, list[Taker]] = {}
        for taker in takers:
            by_outlet.setdefault(taker[0].outlet, []).append(taker)
        parts = [
            (members, *outlet.values(matched, _union([places for _, places in members])))
            for outlet, members in by_outlet.items()
        ]
        if len(parts) == 1:
            members, places, values = parts[0]
            deliveries = _deliveries(members, places, None)
        else:
            # Several projections: their values lie side by side, in order of the records.
            rows = [
                (place, number, value)
                for number, (_, places, values) in enumerate(parts)
                for place, value in zip(places, values, strict=True)
            ]
            rows.sort(key=lambda row: row[:2])
            places, values = [row[0] for row in rows], [row[2] for row in rows]
            deliveries = []
            for number, (members, kept, _) in enumerate(parts):
                indexes = {row[0]: index for index, row in enumerate(rows) if row[1] == number}
                deliveries += _deliveries(members, kept, None if len(kept) == len(rows) else indexes)
        if not values:
            return None
        return self._batch(matched, places, values, deliveries, partition, next_offset)

    def _batch(
        self,
        matched: Matched,
        places: list[int],
        values: list[bytes],
        deliveries: list[Delivery],
        partition: int,
        next_offset: int,
    ) -> Batch:
        metadata = matched.metadata(places) if self.metadata_users else None
        size = sum(map(len, values)) + sum(each.size for each in metadata or ())
        size += Batch.INDEX_BYTES * sum(len(indexes) for _, indexes in deliveries if indexes is not None)
        offsets, timestamps = matched.offsets(places), matched.timestamps(places)
        return Batch(partition, offsets, timestamps, values, metadata, deliveries, next_offset, size)


def _union(places: list[list[int]]) -> list[int]:
    """The places that are in any of the lists, increasing."""
    first = places[0]
    if len(places) == 1 or all(each is first for each in places):
        return first
    return sorted(set().union(*places))


def _deliveries(members: Iterable[Taker], kept: list[int], indexes: dict[int, int] | None) -> list[Delivery]:
    """Which values of the batch each subscription takes; those that take none are left out.

    Args:
        members: subscriptions with one projection, and the places of what each takes.
        kept: the places at which there is something to send.
        indexes: place -> index into the batch's values; None: these places are all that the batch has, in order.
    """
    deliveries: list[Delivery] = []
    is_alone = indexes is None
    is_dense = is_alone and bool(kept) and kept[-1] == len(kept) - 1  # a place is an index
    for member, taken in members:
        if is_alone and taken is kept:
            if kept:
                deliveries.append((member.subscription, None))
            continue
        if is_dense and taken[-1] < len(kept):
            selected = taken
        else:
            if indexes is None:
                indexes = {place: index for index, place in enumerate(kept)}
            selected = [indexes[place] for place in taken if place in indexes]
        if selected:
            deliveries.append((member.subscription, None if is_alone and len(selected) == len(kept) else selected))
    return deliveries
