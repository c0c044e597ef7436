"""What Kafka itself takes: a consumer with nothing behind it, with the filter service's own settings.

What a scenario measures cannot be less; what it measures above it is ours.
"""

from __future__ import annotations

import time

from confluent_kafka import TopicPartition

from filter_service.kafka_source import client_properties, open_consumer
from tests.benchmarks.production import Production
from tests.benchmarks.system import System

_WAIT_SEC = 0.01
_TIME_AT = len(b'{"t":')


def latencies_ms(system: System, rate: int, seconds: int) -> list[float]:
    """Milliseconds from `produce()` to the consumer's hands, for each record, sorted.

    Args:
        rate: records per second, on one partition.
    """
    with system.topic() as topic, Production(system.kafka.bootstrap, topic) as production:
        consumer = open_consumer(client_properties(system.kafka.bootstrap, {}))
        consumer.assign([TopicPartition(topic, 0, 0)])
        try:
            for records in (2 * rate, seconds * rate):  # the first is not counted
                production.prepare_pace(records, rate)
                production.go()
                found: list[float] = []
                while len(found) < records:
                    for message in consumer.consume(1, _WAIT_SEC):
                        if message.error() is None:
                            now_us = time.monotonic_ns() // 1000
                            found.append((now_us - _time_us(message.value() or b"")) / 1000)
                production.wait()
        finally:
            consumer.close()
    return sorted(found)


def _time_us(record: bytes) -> int:
    """When a record was produced (`record_maker`)."""
    return int(record[_TIME_AT : record.index(b",")])
