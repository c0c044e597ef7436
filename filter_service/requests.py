"""What a client asks for: the `Subscription` message, checked for form, as the rest of the service sees it.

Pure; used by the servicer on the event loop, and by `subscriptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.errors import InvalidSubscriptionError
from filter_service.kafka_source import MAX_TOPIC_LENGTH, is_possible_topic

SHOWN_TOPIC_LENGTH = 60
"""Characters of an impossible topic name that are repeated to whoever sent it."""


class Edge(Enum):
    """An end of the records that Kafka has."""

    LATEST = "latest"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The first record at or after `ms` since the epoch."""

    ms: int


@dataclass(frozen=True, slots=True)
class Position:
    """{partition: next offset} in one topic.

    Attributes:
        offsets: next offset of each partition.
        topic_id: Kafka's id of the topic that is meant; empty: not known.
    """

    offsets: Mapping[int, int]
    topic_id: bytes = b""


Point = Edge | Timestamp | Position
"""A place in a topic: where to begin, or where to end."""


@dataclass(frozen=True, slots=True)
class PartitionSelection:
    """Which partitions are covered: those named, and all from `and_from` on (None: no others)."""

    partitions: frozenset[int]
    and_from: int | None

    def covers(self, partition: int) -> bool:
        """Whether a partition is covered."""
        return partition in self.partitions or (self.and_from is not None and partition >= self.and_from)


ALL_PARTITIONS = PartitionSelection(frozenset(), 0)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for, checked for form.

    Attributes:
        stop: where to end; None: never.
        skips_gaps: go on behind records that are gone, instead of ending.
    """

    topic: str
    partitions: PartitionSelection
    start: Point
    where: str
    fields: str
    with_metadata: bool
    stop: Point | None = None
    skips_gaps: bool = False

    @property
    def positions(self) -> list[Position]:
        """The positions that it names, as start or stop."""
        return [point for point in (self.start, self.stop) if isinstance(point, Position)]

    @property
    def named(self) -> set[int]:
        """The partitions that it names, as covered or in a position."""
        return set(self.partitions.partitions).union(*[position.offsets for position in self.positions])


def checked(subscription: pb.Subscription) -> Request:
    """Checks the form of a request.

    Raises:
        InvalidSubscriptionError: a field has a value that can never be right.
    """
    if not subscription.topic:
        raise InvalidSubscriptionError("topic", "must be named")
    return Request(
        topic=subscription.topic,
        partitions=_partitions(subscription.partitions) if subscription.HasField("partitions") else ALL_PARTITIONS,
        start=_point("start", subscription.start) or Edge.LATEST,
        where=subscription.query.where,
        fields=subscription.query.fields,
        with_metadata=subscription.with_metadata,
        stop=_point("stop", subscription.stop) if subscription.HasField("stop") else None,
        skips_gaps=subscription.on_gap == pb.GAP_POLICY_CONTINUE,
    )


def check_possible(topic: str) -> None:
    """Whether there could ever be a topic of this name. Clients of an edge wait for one that cannot be as for any
    that does not exist, since the WebSocket contract has no code for it; backends are told.

    Raises:
        InvalidSubscriptionError: there could not.
    """
    if not is_possible_topic(topic):
        shown = repr(topic) if len(topic) <= SHOWN_TOPIC_LENGTH else repr(topic[:SHOWN_TOPIC_LENGTH] + "…")
        raise InvalidSubscriptionError(
            "topic",
            f"{shown} can never be a Kafka topic: "
            f"1 to {MAX_TOPIC_LENGTH} ASCII letters, digits, '.', '_' and '-' are allowed",
        )


def _partitions(selection: pb.PartitionSelection) -> PartitionSelection:
    numbers = frozenset(selection.partitions)
    and_from = selection.and_from if selection.HasField("and_from") else None
    lowest = min([*numbers, 0 if and_from is None else and_from], default=0)
    if lowest < 0:
        raise InvalidSubscriptionError("partitions", f"{lowest} is negative")
    if not numbers and and_from is None:
        raise InvalidSubscriptionError("partitions", "none is selected; leave the selection out for all")
    return PartitionSelection(numbers, and_from)


def _point(part: Literal["start", "stop"], point: pb.Start | pb.Stop) -> Point | None:
    """A start or stop; None when it says nothing."""
    if point.HasField("timestamp_ms"):
        if point.timestamp_ms < 0:
            raise InvalidSubscriptionError(part, f"timestamp {point.timestamp_ms} is negative")
        return Timestamp(point.timestamp_ms)
    if point.HasField("position"):
        offsets = dict(point.position.next_offsets)
        for number, offset in offsets.items():
            if number < 0:
                raise InvalidSubscriptionError(part, f"partition {number} is negative")
            if offset < 0:
                raise InvalidSubscriptionError(part, f"offset {offset} of partition {number} is negative")
        return Position(offsets, point.position.topic_id)
    if point.HasField("latest"):
        return Edge.LATEST
    if isinstance(point, pb.Start):
        return Edge.EARLIEST if point.HasField("earliest") else None
    raise InvalidSubscriptionError(part, "says nothing; leave it out for a subscription that does not end")
