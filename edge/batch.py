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

    __slots__ = ("frames", "next_offset", "offsets", "partition")

    def __init__(self, message: filter_pb2.RecordBatch) -> None:
        """Takes the message; frames are built when they are asked for."""
        self.partition = message.partition
        self.next_offset = message.next_offset
        self.offsets: Sequence[int] = list(message.offsets)
        self.frames = FramedBatch(list(message.values))
