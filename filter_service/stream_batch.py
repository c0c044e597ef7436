"""What each gRPC stream gets of a batch of records: values, each at most once, and which subscriptions take which.

Used by `topic_reader` on its reader's thread; everything here belongs to that thread. The work is done column by
column and not record by record: when nobody filters, or all filter alike, a record costs no step of its own here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from filter_service import metrics
from filter_service.matching import RuleEntry
from filter_service.outbox import Batch, Metadata, Outbox
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
        """Cuts the record that will be at a place."""
        try:
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
            return places, texts if len(places) == len(texts) else [texts[place] for place in places]
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
    """The records of one batch that some rule matches, column by column. A *place* is an index into the columns.

    Args:
        messages, texts: one entry per record.
        entries: for each record, the entries of the rule index that match it; never empty.

    Attributes:
        offsets, timestamps: one entry per record.
        places: for each entry of the rule index, where its records are, increasing.
    """

    __slots__ = ("_messages", "offsets", "places", "texts", "timestamps")

    def __init__(
        self,
        messages: Sequence[KafkaRecord],
        texts: list[bytes],
        entries: list[Sequence[RuleEntry[Member]]],
    ) -> None:
        self._messages = messages
        self.texts = texts
        self.offsets = [message.offset() for message in messages]
        self.timestamps = [message.timestamp()[1] for message in messages]
        self.places = _places(entries)

    def metadata(self, place: int) -> Metadata:
        """Key and headers of the record at a place."""
        message = self._messages[place]
        return Metadata(message.key(), tuple(message.headers() or ()))


def projectors(entries: Iterable[RuleEntry[Member]]) -> set[Projector]:
    """Which projections somebody wants of a record that these entries match."""
    found = {member.outlet.projector for entry in entries for member in entry.members}
    return {projector for projector in found if projector is not None}


def _places(entries: list[Sequence[RuleEntry[Member]]]) -> dict[RuleEntry[Member], list[int]]:
    """Makes of the entries of each record the records of each entry."""
    first = entries[0] if entries else ()
    if entries.count(first) == len(entries):
        # Nobody filters, or all filter alike.
        everywhere = list(range(len(entries)))
        return dict.fromkeys(first, everywhere)
    places: dict[RuleEntry[Member], list[int]] = {}
    for place, matching in enumerate(entries):
        for entry in matching:
            if entry in places:
                places[entry].append(place)
            else:
                places[entry] = [place]
    return places


_Delivery = tuple[Subscription, list[int] | None]
"""A subscription, and which values of the batch it takes; None: all."""

_Taker = tuple[Member, list[int]]
"""A subscription, and the places of the records it takes."""


class Stream:
    """One gRPC stream and its subscriptions on one topic."""

    __slots__ = ("members", "metadata_users", "outbox", "outlets")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.outlets: dict[Projection | None, Outlet] = {}
        self.members: dict[Subscription, Member] = {}
        self.metadata_users = 0

    def batch(self, matched: Matched, takers: Iterable[_Taker], partition: int, next_offset: int) -> Batch | None:
        """What this stream gets; None when the projections leave nothing.

        Args:
            takers: subscriptions of this stream, and the places of what each takes.
            next_offset: the position behind the batch.
        """
        by_outlet: dict[Outlet, list[_Taker]] = {}
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
        deliveries: list[_Delivery],
        partition: int,
        next_offset: int,
    ) -> Batch:
        offsets, timestamps = matched.offsets, matched.timestamps
        if len(self.outlets) > 1 or len(places) != len(offsets):
            offsets = [offsets[place] for place in places]
            timestamps = [timestamps[place] for place in places]
        metadata = [matched.metadata(place) for place in places] if self.metadata_users else None
        size = sum(map(len, values)) + sum(each.size for each in metadata or ())
        size += Batch.INDEX_BYTES * sum(len(indexes) for _, indexes in deliveries if indexes is not None)
        return Batch(partition, offsets, timestamps, values, metadata, deliveries, next_offset, size)


def _union(places: list[list[int]]) -> list[int]:
    """The places that are in any of the lists, increasing."""
    first = places[0]
    if len(places) == 1 or all(each is first for each in places):
        return first
    return sorted(set().union(*places))


def _deliveries(members: Iterable[_Taker], kept: list[int], indexes: dict[int, int] | None) -> list[_Delivery]:
    """Which values of the batch each subscription takes; those that take none are left out.

    Args:
        members: subscriptions with one projection, and the places of what each takes.
        kept: the places at which there is something to send.
        indexes: place -> index into the batch's values; None: these places are all that the batch has, in order.
    """
    deliveries: list[_Delivery] = []
    is_alone = indexes is None
    for member, taken in members:
        if is_alone and taken is kept:
            if kept:
                deliveries.append((member.subscription, None))
            continue
        if indexes is None:
            indexes = {place: index for index, place in enumerate(kept)}
        selected = [indexes[place] for place in taken if place in indexes]
        if selected:
            deliveries.append((member.subscription, None if is_alone and len(selected) == len(kept) else selected))
    return deliveries
