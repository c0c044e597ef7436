"""A leg: the partitions of one subscription that one filter replica serves.

A subscription begins with one leg over all partitions of its topic, or, where the topic is known to have several, with
one for each replica that has a share of them. Legs are made and placed by `filter_client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from kafka_ws.filter.v1 import filter_pb2

from edge.batch import ReceivedBatch
from edge.encoding import Gap
from edge.errors import StreamEndedError
from edge.placement import Share
from edge.position import Position

if TYPE_CHECKING:
    from edge.filter_session import Assignment


class Subscriber(Protocol):
    """What legs belong to.

    Attributes:
        topic, where, fields, with_metadata, skips_gaps: what to ask for.
        start: where legs begin that have never been open; None: at the end of the topic.
        stop: where legs end that have never been open; None: never.
        stops: partition -> where those that have been open end.
        position: where those that have been open go on.
        is_patient: whether to wait for a replica when none can serve it the first time. What has been open always
            waits.
        legs: serve it, or are to.
        next_legs: are being opened to take their place; empty: none are.
    """

    topic: str
    where: str
    fields: str
    with_metadata: bool
    skips_gaps: bool
    start: filter_pb2.Start | None
    stop: filter_pb2.Stop | None
    stops: dict[int, int]
    position: Position
    is_patient: bool
    legs: list[Leg]
    next_legs: list[Leg]

    def began(self, opened: filter_pb2.Opened) -> None:
        """A replica serves a leg; called again whenever it is opened elsewhere."""

    def records(self, batch: ReceivedBatch, indexes: Sequence[int]) -> None:
        """Records have arrived; `indexes` says which of the batch, empty: all."""

    def progress(self, partition: int, next_offset: int) -> None:
        """Nothing was left out before `next_offset`."""

    def gap(self, gap: Gap) -> None:
        """Records are missing; what follows lies behind them."""

    def changed(self, topic_id: bytes) -> None:
        """The topic has appeared or grown."""

    def completed(self) -> None:
        """Everything before the stop has been delivered."""

    def ended(self, error: StreamEndedError) -> None:
        """It cannot be served, or no longer."""


class Leg:
    """Some partitions of a subscription.

    Args:
        subscriber: the subscription.
        share: which partitions, and where they belong.
        was_open: whether the partitions have been served before, by another leg.

    Attributes:
        active: where it is served; None while nowhere.
        opening: where it is being opened, for the first time or again.
        was_open: whether its partitions have ever been served.
        is_complete: whether everything before the stop has been delivered.
        behind: partitions in which the replica has not got as far yet as those it is to take over from.
        waiting_since: time of the event loop from which on nobody serves it.
        avoided: replica -> time of the event loop until which it is not asked again.
    """

    __slots__ = (
        "active",
        "avoided",
        "behind",
        "is_complete",
        "opening",
        "share",
        "subscriber",
        "waiting_since",
        "was_open",
    )

    def __init__(self, subscriber: Subscriber, share: Share, *, was_open: bool = False) -> None:
        """Begins unplaced."""
        self.subscriber = subscriber
        self.share = share
        self.was_open = was_open
        self.is_complete = False
        self.behind: set[int] = set()
        self.active: Assignment | None = None
        self.opening: Assignment | None = None
        self.waiting_since: float | None = None
        self.avoided: dict[str, float] = {}

    @property
    def first_partition(self) -> int | None:
        """What the leg is placed by when its own replica is away; None: the topic as a whole."""
        return min(self.share.partitions) if self.share.partitions else None

    @property
    def is_level(self) -> bool:
        """Whether it can do without the leg that served its partitions before."""
        return self.is_complete or (self.active is not None and not self.behind)

    def reached(self, partition: int, next_offset: int) -> bool:
        """The replica has told that it has got to an offset; to be called before the subscriber is told.

        Returns:
            Whether the leg is level by that, and was not before.
        """
        if partition not in self.behind or next_offset < self.subscriber.position.next_offsets.get(partition, 0):
            return False
        self.behind.discard(partition)
        return not self.behind

    def request(self) -> filter_pb2.Subscription:
        """What to ask a replica for now: from where the subscriber stands."""
        subscriber = self.subscriber
        request = filter_pb2.Subscription(
            topic=subscriber.topic,
            query=filter_pb2.Query(where=subscriber.where, fields=subscriber.fields),
            with_metadata=subscriber.with_metadata,
        )
        if subscriber.skips_gaps:
            request.on_gap = filter_pb2.GAP_POLICY_CONTINUE
        if self.share.partitions is not None:
            request.partitions.partitions.extend(sorted(self.share.partitions))
            if self.share.and_from is not None:
                request.partitions.and_from = self.share.and_from
        if self.was_open:
            # Also when it is empty: a topic that did not exist is read from offset 0 on when it appears.
            position = request.start.position
            position.SetInParent()
            position.next_offsets.update(subscriber.position.next_offsets)
            position.topic_id = subscriber.position.topic_id
            if subscriber.stop is not None:
                request.stop.position.SetInParent()
                request.stop.position.next_offsets.update(subscriber.stops)
            return request
        if subscriber.start is not None:
            request.start.CopyFrom(subscriber.start)
        else:
            request.start.latest.SetInParent()
        if subscriber.stop is not None:
            request.stop.CopyFrom(subscriber.stop)
        return request
