"""Writes numbered records at a steady rate: `python -m tests.chaos.producer <bootstrap> <topic> <rate> <counters>`.

A process of its own. Idempotent, with acks from all replicas, and with endless patience: a record that was handed to
Kafka's client is written once, however often brokers die. SIGTERM ends it, once everything is written; then the
counters are exact, and the exit code is 0.
"""

import signal
import sys
import time
from pathlib import Path
from types import FrameType

from confluent_kafka import KafkaError, Message, Producer

from tests.chaos.counters import Counters
from tests.chaos.records import PARTITIONS, PERIOD, templates

_TICK_SEC = 0.02
_FLUSH_SEC = 60.0
_MOST_BEHIND_SEC = 0.5
"""A producer that was not given the processor does not make up for more than this."""


class NumberedRecords:
    """The producer.

    :param bootstrap: of the cluster.
    :param topic: with `PARTITIONS` partitions.
    :param counters: told before anything is written.
    """

    def __init__(self, bootstrap: str, topic: str, counters: Counters) -> None:
        self._topic = topic
        self._counters = counters
        self._templates = templates()
        self._next = [0] * PARTITIONS
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                # Endless: what is not written would be lost before our part begins.
                "delivery.timeout.ms": 0,
                "linger.ms": 40,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 2_000_000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
                "log_level": 0,
            }
        )

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())

    def write(self, count: int) -> None:
        """Writes so many records to each partition."""
        now = time.monotonic_ns() // 1000
        for partition in range(PARTITIONS):
            first = self._next[partition]
            self._next[partition] = first + count
            self._counters.set(partition, first + count)
            for number in range(first, first + count):
                payload = self._templates[number % PERIOD] % (number, partition, now)
                self._producer.produce(self._topic, payload, partition=partition)
        self._producer.poll(0)

    def finish(self) -> int:
        """Waits until everything is written; returns how many records are not."""
        return self._producer.flush(_FLUSH_SEC) + len(self._failed)


def main() -> int:
    """Writes until SIGTERM; returns the exit code."""
    bootstrap, topic, rate, path = sys.argv[1:]
    is_stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        is_stopping = True

    signal.signal(signal.SIGTERM, stop)
    records = NumberedRecords(bootstrap, topic, Counters(Path(path)))
    per_partition = float(rate) / PARTITIONS
    begun, written = time.monotonic(), 0
    while not is_stopping:
        due = (time.monotonic() - begun) * per_partition
        if due - written > _MOST_BEHIND_SEC * per_partition:
            begun += (due - written) / per_partition - _MOST_BEHIND_SEC
            due = written + _MOST_BEHIND_SEC * per_partition
        if due - written >= 1:
            records.write(int(due - written))
            written += int(due - written)
        time.sleep(_TICK_SEC)
    left = records.finish()
    print(f"{written * PARTITIONS} records written, {left} not", flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
