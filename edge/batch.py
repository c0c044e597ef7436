"""A batch of records as it came from the filter service, and its frames.

Made by `filter_session` for each message, shared by all subscriptions that the message names.
"""

from collections.abc import Sequence

from kafka_ws.filter.v1 import filter_pb2

from edge.frames import FramedBatch


class ReceivedBatch:
    """Records of one partition.

    Attributes:
        partition: partition number.
        next_offset: the position behind the batch.
        offsets: offset of each record, not decreasing.
        frames: each record's value as a text frame.
    """

    __slots__ = ("_message", "frames", "next_offset", "offsets", "partition")

    def __init__(self, message: filter_pb2.RecordBatch) -> None:
        """Takes the message; frames are built when they are asked for."""
        self._message = message
        self.partition = message.partition
        self.next_offset = message.next_offset
        self.offsets: Sequence[int] = list(message.offsets)
        self.frames = FramedBatch(list(message.values))

    # Only records in envelopes need these: they are not copied for the others.

    @property
    def values(self) -> Sequence[bytes]:
        """JSON text of each record."""
        return self._message.values

    @property
    def timestamps_ms(self) -> Sequence[int]:
        """Of each record, ms since the epoch; -1 for none."""
        return self._message.timestamps_ms

    @property
    def metadata(self) -> Sequence[filter_pb2.RecordMetadata]:
        """Key and headers of each record, if any subscription of the session asked for them."""
        return self._message.metadata
