"""Where a subscription ends: cuts what lies behind its stop, and knows when everything before it has been delivered.

Pure; one `Limit` per subscription with a stop, used on the event loop when batches are made into messages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence


class Limit:
    """The stop of one subscription.

    Args:
        starts, stops: partition -> first offset to deliver, and offset before which to end; for the same partitions.
    """

    __slots__ = ("_open", "_stops")

    def __init__(self, starts: Mapping[int, int], stops: Mapping[int, int]) -> None:
        self._stops = dict(stops)
        self._open = {partition for partition, stop in stops.items() if starts[partition] < stop}

    @property
    def is_reached(self) -> bool:
        """Whether everything before the stop has been delivered."""
        return not self._open

    def cut(self, partition: int, offsets: Sequence[int], indexes: Sequence[int] | None) -> Sequence[int] | None:
        """Which records of a batch lie before the stop.

        Args:
            partition: of the batch.
            offsets: of the batch's records, not decreasing.
            indexes: which of them are meant, increasing; None: all.

        Returns:
            Indexes; None: all of the batch.
        """
        stop = self._stops.get(partition, 0)
        meant = range(len(offsets)) if indexes is None else indexes
        kept = bisect_left(meant, stop, key=offsets.__getitem__)
        return indexes if kept == len(meant) else meant[:kept]

    def position(self, partition: int, next_offset: int) -> int:
        """The position to tell: never behind the stop."""
        return min(next_offset, self._stops.get(partition, next_offset))

    def advance(self, partition: int, next_offset: int) -> None:
        """Everything of a partition before `next_offset` has been delivered."""
        if next_offset >= self._stops.get(partition, 0):
            self._open.discard(partition)
