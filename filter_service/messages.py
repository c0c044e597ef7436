"""From what is in an outbox to the contract's messages. Pure; used by the servicer on the event loop.

What lies behind a subscription's stop is cut off here, and `reached` says of which subscriptions all has been told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TypeVar

from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.limit import Limit
from filter_service.outbox import Batch, Delivery, Missing, PositionNote, TopicNote
from filter_service.subscription import Subscription
from filter_service.subscriptions import Accepted

T = TypeVar("T")

_TOGETHER = 100
"""Answers that are sent as one message at most."""
_SMALL_BYTES = 4096
"""Of an answer that is sent with others; larger is only one with a long query."""

Told = Batch | PositionNote | Missing | TopicNote
"""Items that become one message."""


def opened(number: int, accepted: Accepted) -> pb.Opened:
    """That a subscription is open."""
    message = pb.Opened(
        subscription_id=number,
        start=pb.Position(next_offsets=accepted.start, topic_id=accepted.topic_id),
        canonical=pb.Query(where=accepted.where, fields=accepted.fields),
        partition_count=accepted.partition_count,
    )
    if accepted.stop is not None:
        message.stop.CopyFrom(pb.Position(next_offsets=accepted.stop, topic_id=accepted.topic_id))
    return message


def join(before: pb.SessionResponse, message: pb.SessionResponse) -> pb.SessionResponse | None:
    """Both as one message of a moderate size, or None. A `before` that is several is added to."""
    if message.ByteSize() > _SMALL_BYTES:
        return None
    if not before.HasField("several"):
        if before.ByteSize() > _SMALL_BYTES:
            return None
        before = pb.SessionResponse(several=pb.SessionResponse.Several(responses=(before,)))
    elif len(before.several.responses) >= _TOGETHER:
        return None
    before.several.responses.append(message)
    return before


def for_session(item: Told) -> pb.SessionResponse | None:
    """What a session is told; None: nothing that it may see.

    What is still on its way for a closed subscription is left out: its number may have been given to another.
    """
    if isinstance(item, Batch):
        batch = _wanted(item)
        if not batch.deliveries:
            return None
        response = pb.SessionResponse()
        records = response.records
        _fill(records.batch, batch, batch.next_offset)
        for subscription, indexes in batch.deliveries:
            records.deliveries.add(subscription_id=subscription.id, indexes=indexes)
        return response
    if isinstance(item, Missing):
        if item.subscription.closed:
            return None
        return pb.SessionResponse(gap=_gap(item, (item.subscription.id,)))
    numbers = [subscription.id for subscription in item.subscriptions if not subscription.closed]
    if not numbers:
        return None
    if isinstance(item, PositionNote):
        progress = pb.Progress(subscription_ids=numbers, partition=item.partition, next_offset=item.next_offset)
        return pb.SessionResponse(progress=progress)
    return pb.SessionResponse(topic_changed=_topic_changed(item, numbers))


def for_subscriber(item: Told, limit: Limit | None) -> pb.SubscribeResponse:
    """What a `Subscribe` call is told, whose only subscription has this limit."""
    if isinstance(item, Batch):
        if limit is None:
            return _subscribe_response(item, item.next_offset)
        kept = limit.cut(item.partition, item.offsets, None)
        if kept is not None:
            item = _only(item, kept, item.deliveries)
        position = limit.position(item.partition, item.next_offset)
        return _subscribe_response(item, position) if item.values else _subscribe_progress(item.partition, position)
    if isinstance(item, PositionNote):
        position = item.next_offset if limit is None else limit.position(item.partition, item.next_offset)
        return _subscribe_progress(item.partition, position)
    if isinstance(item, Missing):
        return pb.SubscribeResponse(gap=_gap(item, ()))
    return pb.SubscribeResponse(topic_changed=_topic_changed(item, ()))


def reached(item: Told) -> list[Subscription]:
    """Notes how far an item, now told, has brought its subscriptions; returns those of which all has been told."""
    if isinstance(item, Batch):
        subscriptions = [subscription for subscription, _ in item.deliveries]
    elif isinstance(item, PositionNote):
        subscriptions = item.subscriptions
    else:
        return []
    complete = []
    for subscription in subscriptions:
        limit = subscription.limit
        if limit is not None:
            limit.advance(item.partition, item.next_offset)
            if limit.is_reached and not subscription.closed:
                complete.append(subscription)
    return complete


def _wanted(batch: Batch) -> Batch:
    """The batch without what lies behind a stop, or is for nobody but closed subscriptions."""
    deliveries = [delivery for delivery in map(_cut, repeat(batch), batch.deliveries) if delivery is not None]
    if deliveries == batch.deliveries:
        return batch
    taken = sorted(set().union(*(range(len(batch.values)) if each is None else each for _, each in deliveries)))
    index_of = {index: new for new, index in enumerate(taken)}
    moved: list[Delivery] = [
        (subscription, None if indexes is None else [index_of[index] for index in indexes])
        for subscription, indexes in deliveries
    ]
    return _only(batch, taken, moved)


def _cut(batch: Batch, delivery: Delivery) -> Delivery | None:
    """A delivery of the batch up to its subscription's stop; None: nothing is left of it."""
    subscription, indexes = delivery
    if subscription.closed:
        return None
    limit = subscription.limit
    kept = None if limit is None else limit.cut(batch.partition, batch.offsets, indexes)
    if kept is None:
        return delivery
    return (subscription, kept) if kept else None


def _only(batch: Batch, indexes: Sequence[int], deliveries: list[Delivery]) -> Batch:
    """A batch of some of the values."""

    def picked(column: list[T]) -> list[T]:
        return [column[index] for index in indexes]

    return Batch(
        batch.partition,
        picked(batch.offsets),
        picked(batch.timestamps),
        picked(batch.values),
        None if batch.metadata is None else picked(batch.metadata),
        deliveries,
        batch.next_offset,
        batch.size,
    )


# Built in place: a message that is given to another one's constructor is copied by way of its serialised form.


def _subscribe_progress(partition: int, next_offset: int) -> pb.SubscribeResponse:
    return pb.SubscribeResponse(progress=pb.Progress(partition=partition, next_offset=next_offset))


def _subscribe_response(batch: Batch, next_offset: int) -> pb.SubscribeResponse:
    response = pb.SubscribeResponse()
    _fill(response.records, batch, next_offset)
    return response


def _fill(message: pb.RecordBatch, batch: Batch, next_offset: int) -> None:
    message.partition = batch.partition
    message.offsets.extend(batch.offsets)
    message.timestamps_ms.extend(batch.timestamps)
    message.values.extend(batch.values)
    message.next_offset = next_offset
    for metadata in batch.metadata or ():
        message.metadata.add(
            key=metadata.key, headers=[pb.Header(key=key, value=value) for key, value in metadata.headers]
        )


def _gap(missing: Missing, numbers: Iterable[int]) -> pb.Gap:
    return pb.Gap(
        subscription_ids=numbers, partition=missing.partition, from_offset=missing.first, to_offset=missing.end
    )


def _topic_changed(note: TopicNote, numbers: Iterable[int]) -> pb.TopicChanged:
    return pb.TopicChanged(subscription_ids=numbers, topic_id=note.topic_id, partition_count=note.partition_count)
