"""What a client asks for: the `Subscription` message, checked for form, as the rest of the service sees it.

Pure; used by the servicer on the event loop, and by `subscriptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.errors import InvalidSubscriptionError
from filter_service.kafka_source import MAX_TOPIC_LENGTH, is_possible_topic

SHOWN_TOPIC_LENGTH = 60
"""Characters of an impossible topic name that are repeated to whoever sent it."""


class Edge(Enum):
    """A start that needs no number."""

    LATEST = "latest"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Start at the first record at or after `ms` since the epoch."""

    ms: int


Start = Edge | Timestamp | Mapping[int, int]
"""Where to begin; a mapping is a position {partition: next offset}."""


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
    """What a client asks for, checked for form."""

    topic: str
    partitions: PartitionSelection
    start: Start
    where: str
    fields: str
    with_metadata: bool


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
        start=_start(subscription.start),
        where=subscription.query.where,
        fields=subscription.query.fields,
        with_metadata=subscription.with_metadata,
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


def _start(start: pb.Start) -> Start:
    kind = start.WhichOneof("start")
    if kind == "earliest":
        return Edge.EARLIEST
    if kind == "timestamp_ms":
        if start.timestamp_ms < 0:
            raise InvalidSubscriptionError("start", f"timestamp {start.timestamp_ms} is negative")
        return Timestamp(start.timestamp_ms)
    if kind == "position":
        position = dict(start.position.next_offsets)
        for number, offset in position.items():
            if number < 0:
                raise InvalidSubscriptionError("start", f"partition {number} is negative")
            if offset < 0:
                raise InvalidSubscriptionError("start", f"offset {offset} of partition {number} is negative")
        return position
    return Edge.LATEST
