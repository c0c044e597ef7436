"""Cuts a batch into pieces that fit into gRPC messages.

Used by `stream_writer` on the event loop. A batch may be large for many reasons: large records, many distinct
projections of each, thousands of subscriptions that take some of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from filter_service.outbox import Batch, Delivery

PIECE_BYTES = 2 * 1024 * 1024
"""Where a batch is cut: half of what gRPC clients take unless they are told otherwise. A single value may be larger."""

VALUE_OVERHEAD = 32
"""Bytes of a value's offset, timestamp and framing on the wire, at most."""


def pieces(batch: Batch, most_bytes: int = PIECE_BYTES) -> Iterator[Batch]:
    """The batch, as one or several that together are the same.

    Every piece has the position behind it for the subscriptions it lists: pieces end between records. Only when the
    values of a single record are too many for a piece is it cut, into pieces that hold nothing else; each
    subscription takes a record but once, so its position is right there too.

    Args:
        most_bytes: what a piece may hold, if it is more than one value.
    """
    if batch.size + VALUE_OVERHEAD * len(batch.values) <= most_bytes:
        yield batch
        return
    offsets, weights = batch.offsets, _weights(batch)
    begin = weight = record = 0  # of the piece; `record`: where the values of the current record begin in it
    at = 0
    while at < len(offsets):
        if at == begin or offsets[at] != offsets[at - 1]:
            record = at
        if at > begin and weight + weights[at] > most_bytes:
            at = record if record > begin else at
            yield _piece(batch, begin, at)
            begin = record = at
            weight = 0
        weight += weights[at]
        at += 1
    yield _piece(batch, begin, at)


def _weights(batch: Batch) -> list[int]:
    weights = [VALUE_OVERHEAD + len(value) for value in batch.values]
    for index, metadata in enumerate(batch.metadata or ()):
        weights[index] += metadata.size
    for _, indexes in batch.deliveries:
        for index in indexes or ():
            weights[index] += Batch.INDEX_BYTES
    return weights


def _piece(batch: Batch, begin: int, end: int) -> Batch:
    deliveries: list[Delivery] = []
    for subscription, indexes in batch.deliveries:
        if indexes is None:
            deliveries.append((subscription, None))
            continue
        within = [index - begin for index in indexes if begin <= index < end]
        if within:
            deliveries.append((subscription, None if len(within) == end - begin else within))
    values = batch.values[begin:end]
    metadata = None if batch.metadata is None else batch.metadata[begin:end]
    return Batch(
        batch.partition,
        batch.offsets[begin:end],
        batch.timestamps[begin:end],
        values,
        metadata,
        deliveries,
        batch.next_offset if end == len(batch.offsets) else batch.offsets[end - 1] + 1,
        sum(map(len, values)) + sum(each.size for each in metadata or ()),
    )
