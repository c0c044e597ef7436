"""Positions: how far a subscription has been read, partition by partition (design, "One primitive"). Pure.

One `Position` belongs to each subscription; it decides which records of an arriving batch are new, so that a
subscription may be served by two filter replicas at once, or again from further back, and nobody sees it.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence


class Position:
    """Next offset to deliver, of each partition.

    A partition that is not known begins at offset 0, as in the contract's `Start.position`.

    Attributes:
        next_offsets: partition -> offset of the next record to deliver. To be changed by the methods only.
        topic_id: Kafka's id of the topic; empty: not known.
    """

    __slots__ = ("next_offsets", "topic_id")

    def __init__(self, next_offsets: Mapping[int, int] = {}, topic_id: bytes = b"") -> None:
        """Begins at these offsets; they are copied."""
        self.next_offsets: dict[int, int] = dict(next_offsets)
        self.topic_id = topic_id

    def begin(self, start: Mapping[int, int]) -> None:
        """Learns where a newly opened subscription begins; partitions that are known already stay where they are."""
        for partition, next_offset in start.items():
            self.next_offsets.setdefault(partition, next_offset)

    def advance(self, partition: int, next_offset: int) -> bool:
        """Moves a partition forward.

        Returns:
            Whether it moved; false when `next_offset` is not behind what is known.
        """
        if next_offset <= self.next_offsets.get(partition, 0):
            return False
        self.next_offsets[partition] = next_offset
        return True

    def accept(
        self, partition: int, offsets: Sequence[int], next_offset: int, indexes: Sequence[int] = ()
    ) -> Sequence[int]:
        """Moves behind a batch and says which of its records are new.

        Args:
            partition: the batch's partition.
            offsets: offset of each record, not decreasing.
            next_offset: the position behind the batch.
            indexes: which records are meant, increasing; empty: all.

        Returns:
            Indexes of the records to deliver; those delivered before are left out.
        """
        known = self.next_offsets.get(partition, 0)
        if next_offset <= known:
            return ()
        self.next_offsets[partition] = next_offset
        meant = indexes or range(len(offsets))
        if not meant or offsets[meant[0]] >= known:
            return meant
        return meant[bisect_left(meant, known, key=offsets.__getitem__) :]

    def snapshot(self) -> dict[int, int]:
        """A copy of the offsets."""
        return self.next_offsets.copy()

    def is_level_with(self, next_offsets: Mapping[int, int]) -> bool:
        """Whether both would deliver the same records next."""
        mine = self.next_offsets
        if mine == next_offsets:
            return True
        return all(mine.get(each, 0) == next_offsets.get(each, 0) for each in mine.keys() | next_offsets.keys())
