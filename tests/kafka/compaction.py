"""Topics of which a compaction has left holes: records whose keys came again are gone."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter

_PATIENCE_SEC = 90.0

_CONFIG = {
    "cleanup.policy": "compact",
    # Only closed segments are compacted: every record written later than this closes the one before.
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "0",
}


def compacted_topic(
    kafka: KafkaCluster, records: RecordWriter, create: Callable[..., str], keys: int, rounds: int
) -> tuple[str, list[int]]:
    """A topic into which each of some keys was written several times, `{"n":<offset>}`, and then compacted.

    :param create: the `create_topic` fixture.
    :param keys: written once in each round, so that only the last round of them stays.
    :returns: the topic, and the offsets that are left in its one partition.
    """
    topic = create(config=_CONFIG)
    count = keys * rounds
    for offset in range(count):
        written = records.write(topic, b'{"n":%d}' % offset, key=b"%d" % (offset % keys))
        assert written.offset == offset
    deadline = time.monotonic() + _PATIENCE_SEC
    while True:
        time.sleep(0.15)
        end = records.write(topic, b'{"n":%d}' % count, key=b"closes %d" % count).offset + 1
        count = end
        left = offsets_of(kafka.bootstrap, topic, end)
        if left[0] >= keys * (rounds - 1):
            return topic, left
        assert time.monotonic() < deadline, f"{topic} was not compacted: {left}"


def offsets_of(bootstrap: str, topic: str, end: int) -> list[int]:
    """The offsets that there are in partition 0 before `end`, for whoever reads all of it."""
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
            elif error.code() != KafkaError._PARTITION_EOF:
                raise AssertionError(error)
            if error is not None or found[-1] + 1 >= end:
                return found
    finally:
        consumer.close()
