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

_TICK_SEC = 0.1
"""Records are written in bursts, of which each is one request for each partition. Three brokers that share two cores
with everything else spend their time on requests, hardly on records: at 25 requests a second and partition they took
one core for themselves."""

_LINGER_MS = 5
"""A burst is handed over within this time."""

_IN_FLIGHT_SEC = 0.25
"""A partition gets no further burst while more than was due in this time is not acknowledged: the next one is larger
then. librdkafka keeps five requests in flight and spins while a sixth waits (seen with 2.16), so that brokers that
were slow for a moment stayed slow, for want of the processor."""

_MOST_BEHIND_SEC = 2.0
"""What is not written because the processor or a leader is away is made up for: what was due in this time at most."""

_FLUSH_SEC = 60.0


class NumberedRecords:
    """The producer.

    :param bootstrap: of the cluster.
    :param topic: with `PARTITIONS` partitions.
    :param counters: told before anything is written.
    :param most_in_flight: records of a partition that may not be acknowledged when more are written.
    """

    def __init__(self, bootstrap: str, topic: str, counters: Counters, most_in_flight: int) -> None:
        self._topic = topic
        self._counters = counters
        self._most_in_flight = most_in_flight
        self._templates = templates()
        self._next = [0] * PARTITIONS
        self._acknowledged = [0] * PARTITIONS
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                # Endless: what is not written would be lost before our part begins.
                "delivery.timeout.ms": 0,
                "linger.ms": _LINGER_MS,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 2_000_000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                # A broker that hangs is left soon.
                "socket.timeout.ms": 3_000,
                "on_delivery": self._on_delivery,
                "log_level": 0,
            }
        )

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())
        self._acknowledged[message.partition() or 0] += 1

    def may_write(self, partition: int) -> bool:
        """Whether what was written before is on its way."""
        return self._next[partition] - self._acknowledged[partition] <= self._most_in_flight

    def write(self, partition: int, count: int) -> None:
        """Writes so many records to a partition."""
        now = time.monotonic_ns() // 1000
        first = self._next[partition]
        self._next[partition] = first + count
        self._counters.set(partition, first + count)
        for number in range(first, first + count):
            payload = self._templates[number % PERIOD] % (number, partition, now)
            self._producer.produce(self._topic, payload, partition=partition)

    def poll(self, seconds: float) -> None:
        """Takes acknowledgements for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._producer.poll(left)

    @property
    def written(self) -> int:
        """Number of records, over all partitions."""
        return sum(self._next)

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
    per_partition = float(rate) / PARTITIONS
    records = NumberedRecords(bootstrap, topic, Counters(Path(path)), int(_IN_FLIGHT_SEC * per_partition))
    most = _MOST_BEHIND_SEC * per_partition
    due, then = [0.0] * PARTITIONS, time.monotonic()
    while not is_stopping:
        now = time.monotonic()
        passed, then = (now - then) * per_partition, now
        for partition in range(PARTITIONS):
            due[partition] = min(due[partition] + passed, most)
            if due[partition] >= 1 and records.may_write(partition):
                records.write(partition, int(due[partition]))
                due[partition] %= 1
        records.poll(_TICK_SEC)
    left = records.finish()
    print(f"{records.written} records written, {left} not", flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
