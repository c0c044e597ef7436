"""What Kafka itself takes: a consumer with nothing behind it, with the filter service's own settings.

What a scenario measures cannot be less; what it measures above it is ours. `python -m tests.benchmarks.bare_consumer
BOOTSTRAP TOPIC` is the process behind `BareConsumer`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from filter_service.kafka_source import client_properties, open_consumer
from tests.benchmarks.production import Production
from tests.benchmarks.system import System

_ROOT = Path(__file__).resolve().parents[2]
_WAIT_SEC = 0.01
_TIME_AT = len(b'{"t":')
_NEWEST = -1


class BareConsumer:
    """Reads a topic beside a scenario, in a process of its own: what is slow here is not the services' doing.

    Args:
        bootstrap: Kafka's `host:port`.
        topic: with one partition, to which records with their times are being written: returns once one has come.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.bare_consumer", bootstrap, topic],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def longest_ms(self) -> float:
        """Ends the process; the longest latency since it began, in milliseconds."""
        return float(self._process.communicate("\n")[0])


def latencies_ms(system: System, rate: int, seconds: int) -> list[float]:
    """Milliseconds from `produce()` to the consumer's hands, for each record, sorted.

    Args:
        rate: records per second, on one partition.
    """
    with (
        system.topic() as topic,
        Production(system.kafka.bootstrap, topic) as production,
        _consuming(system.kafka.bootstrap, topic, 0) as consumer,
    ):
        for records in (2 * rate, seconds * rate):  # the first is not counted
            production.prepare_pace(records, rate)
            production.go()
            found: list[float] = []
            while len(found) < records:
                found += _read(consumer)
            production.wait()
    return sorted(found)


@contextlib.contextmanager
def _consuming(bootstrap: str, topic: str, offset: int) -> Iterator[Consumer]:
    consumer = open_consumer(client_properties(bootstrap, {}))
    consumer.assign([TopicPartition(topic, 0, offset)])
    try:
        yield consumer
    finally:
        consumer.close()


def _read(consumer: Consumer) -> list[float]:
    """Latency of a record, if one comes soon, in milliseconds."""
    messages = [message for message in consumer.consume(1, _WAIT_SEC) if message.error() is None]
    now_us = time.monotonic_ns() // 1000
    return [(now_us - _time_us(message.value() or b"")) / 1000 for message in messages]


def _time_us(record: bytes) -> int:
    """When a record was produced (`record_maker`)."""
    return int(record[_TIME_AT : record.index(b",")])


def _main(bootstrap: str, topic: str) -> None:
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.readline()
        over.set()

    with _consuming(bootstrap, topic, _NEWEST) as consumer:
        while not _read(consumer):
            pass
        print("reading", flush=True)
        threading.Thread(target=wait_for_the_end).start()
        longest = 0.0
        while not over.is_set():
            longest = max([longest, *_read(consumer)])
    print(longest)


if __name__ == "__main__":
    _main(*sys.argv[1:])
