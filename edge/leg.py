"""A leg: the partitions of one subscription that one filter replica serves.

A subscription has one leg now, over all partitions of its topic; the data model allows several, so that the partitions
of a hot topic can be spread over replicas. Legs are made by `subscription` and placed by `filter_client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from kafka_ws.filter.v1 import filter_pb2

from edge.batch import ReceivedBatch
from edge.errors import StreamEndedError
from edge.position import Position

if TYPE_CHECKING:
    from edge.filter_session import Assignment


class Subscriber(Protocol):
    """What a leg belongs to."""

    topic: str
    where: str
    fields: str
    position: Position
    is_started: bool
    """Whether `position` says where to go on; if not, the leg begins at the end of the topic."""

    def began(self, opened: filter_pb2.Opened) -> None:
        """A replica serves the leg; called again whenever it is opened elsewhere."""

    def records(self, batch: ReceivedBatch, indexes: Sequence[int]) -> None:
        """Records have arrived; `indexes` says which of the batch, empty: all."""

    def progress(self, partition: int, next_offset: int) -> None:
        """Nothing was left out before `next_offset`."""

    def ended(self, error: StreamEndedError) -> None:
        """The leg cannot be served, or no longer."""


class Leg:
    """Some partitions of a subscription.

    Args:
        subscriber: the subscription.
        selection: which partitions; None: all.
        is_patient: whether to wait for a replica when none can open it the first time. A leg that has been open
            always waits.

    Attributes:
        active: where it is served; None while nowhere.
        opening: where it is being opened, for the first time, again, or to move there.
        was_open: whether it has ever been open.
        waiting_since: time of the event loop from which on nobody serves it.
        avoided: replica -> time of the event loop until which it is not asked again.
    """

    __slots__ = ("active", "avoided", "is_patient", "opening", "selection", "subscriber", "waiting_since", "was_open")

    def __init__(
        self, subscriber: Subscriber, selection: filter_pb2.PartitionSelection | None = None, is_patient: bool = False
    ) -> None:
        """Begins unplaced."""
        self.subscriber = subscriber
        self.selection = selection
        self.is_patient = is_patient
        self.was_open = False
        self.active: Assignment | None = None
        self.opening: Assignment | None = None
        self.waiting_since: float | None = None
        self.avoided: dict[str, float] = {}

    def request(self) -> filter_pb2.Subscription:
        """What to ask a replica for now: from where the subscriber stands."""
        subscriber = self.subscriber
        request = filter_pb2.Subscription(
            topic=subscriber.topic, query=filter_pb2.Query(where=subscriber.where, fields=subscriber.fields)
        )
        if self.selection is not None:
            request.partitions.CopyFrom(self.selection)
        if subscriber.is_started:
            # Also when it is empty: a topic that did not exist is read from offset 0 on when it appears.
            request.start.position.SetInParent()
            request.start.position.next_offsets.update(subscriber.position.next_offsets)
        else:
            request.start.latest.SetInParent()
        return request
