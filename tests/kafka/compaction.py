"""Topics of which a compaction has left holes: records whose keys came again are gone."""

import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter

_PATIENCE_SEC = 90.0

COMPACTED = {
    "cleanup.policy": "compact",
    # Only closed segments are compacted: every record written later than this closes the one before.
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "0",
}
"""Settings of a topic that is compacted as soon as may be."""


def write_rounds(records: RecordWriter, topic: str, keys: int, rounds: int) -> int:
    """Write each of some keys several times, `{"n":<offset>}`, into an empty partition 0.

    :returns: the first offset of the last round, which is what a compaction leaves.
    """
    for offset in range(keys * rounds):
        written = records.write(topic, b'{"n":%d}' % offset, partition=0, key=b"%d" % (offset % keys))
        assert written.offset == offset
    return keys * (rounds - 1)


def compact(kafka: KafkaCluster, records: RecordWriter, topic: str, stays_from: int) -> list[int]:
    """Have a topic of the settings `COMPACTED` compacted; some more records are written for that.

    :param stays_from: the first offset whose record has not been superseded.
    :returns: the offsets that are left in partition 0.
    """
    deadline = time.monotonic() + _PATIENCE_SEC
    left = offsets_of(kafka.bootstrap, topic)
    while left[0] < stays_from:
        assert time.monotonic() < deadline, f"{topic} was not compacted: {left}"
        time.sleep(0.15)
        end = left[-1] + 1
        records.write(topic, b'{"n":%d}' % end, partition=0, key=b"closes %d" % end)
        left = offsets_of(kafka.bootstrap, topic)
    return left


def offsets_of(bootstrap: str, topic: str) -> list[int]:
    """The offsets that there are in partition 0, for whoever reads all of it."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "looks", "enable.partition.eof": True, "log_level": 0}
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[int] = []
        while True:
            message = consumer.poll(_PATIENCE_SEC)
            assert message is not None
            error = message.error()
            if error is None:
                found.append(message.offset() or 0)
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            else:
                raise AssertionError(error)
    finally:
        consumer.close()
