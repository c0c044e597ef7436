"""The system under test: a real Kafka, a Valkey, and the tiers as real processes, as in the end-to-end tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.production import Production
from tests.benchmarks.usage import thread_cpu_seconds
from tests.kafka.broker import HIGH_THROUGHPUT
from tests.kafka.cluster import KafkaCluster
from tests.redis_server import RedisServer
from tests.stack.client import PREFIX
from tests.stack.stack import Stack

TENANT = "admin"

_SETTINGS = {
    # A log line per connection would be measured too; operators of busy systems turn them off.
    "KAFKA_WS_LOG_LEVEL": "warning",
}

_KAFKA_SETTINGS = {
    # What is written in seconds must not be deleted, or compacted, in between; and disks fill up.
    "log.retention.check.interval.ms": "300000",
    "log.segment.bytes": str(256 * 1024 * 1024),
}


_WARM_UP_FULL_SPEED = 300_000
_WARM_UP_RATE, _WARM_UP_SEC, _MOST_WARM_UPS = 2000, 4, 15
_COMPILER_THREAD = "C2 CompilerThre"
_QUIET = 0.04
"""Share of a core that the JVM's compiler takes when it has done what there is to do; it begins with two thirds."""


class System:
    """Kafka and Valkey, started once for all scenarios, and stacks on top, one per scenario.

    Args:
        directory: an existing folder for data and logs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kafka = KafkaCluster(directory, settings=_KAFKA_SETTINGS, jvm_options=HIGH_THROUGHPUT)
        self.redis = RedisServer(directory)
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Starts Kafka and Valkey, and has Kafka work until its JVM has compiled what it does often: the first
        scenarios would pay for that, with a third of a core for half a minute.
        """
        self.kafka.start()
        self.redis.start()
        broker = self.kafka.brokers[0].process.pid
        with self.topic() as topic, Production(self.kafka.bootstrap, topic) as production:
            consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "warm-up"})
            consumer.assign([TopicPartition(topic, 0, 0)])
            _work(production, consumer, _WARM_UP_FULL_SPEED, 0)
            for _ in range(_MOST_WARM_UPS):
                compiling = thread_cpu_seconds(broker, _COMPILER_THREAD)
                _work(production, consumer, _WARM_UP_RATE * _WARM_UP_SEC, _WARM_UP_RATE)
                if thread_cpu_seconds(broker, _COMPILER_THREAD) - compiling < _QUIET * _WARM_UP_SEC:
                    break
            consumer.close()

    def stop(self) -> None:
        """Stops both; the records are deleted."""
        self.kafka.stop()
        self.redis.stop()

    @contextmanager
    def topic(self, partitions: int = 1) -> Iterator[str]:
        """A new topic, deleted afterwards: millions of records are not kept."""
        name = self.kafka.create_topic(f"{TENANT}.benchmark-{next(self._numbers)}", partitions)
        try:
            yield name
        finally:
            self.kafka.delete_topic(name)

    @contextmanager
    def stack(self, *, filters: int = 1, edges: int = 1, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
        """The tiers, new processes: memory and caches of one scenario are not another's."""
        directory = self.directory / f"stack-{next(self._numbers)}"
        directory.mkdir()
        with Stack(
            directory,
            self.kafka.bootstrap,
            self.redis.address,
            filters=filters,
            edges=edges,
            settings={**_SETTINGS, **(settings or {})},
        ) as stack:
            yield stack

    @contextmanager
    def load_client(self, stack: Stack) -> Iterator[LoadClient]:
        """A load client of the stack's first edge."""
        with LoadClient(self.directory, stack.services["edge-1"].address, stack.tokens.token(TENANT)) as client:
            yield client

    def pids(self, stack: Stack, **more: int) -> dict[str, int]:
        """Process ids by name: everything that takes part, and `more`."""
        tiers = {name: service.process.pid for name, service in stack.services.items() if service.process.running}
        return {**tiers, "kafka": self.kafka.brokers[0].process.pid, **more}


def _work(production: Production, consumer: Consumer, records: int, rate: int) -> None:
    """Writes and reads some records."""
    production.prepare_pace(records, rate)
    production.go()
    read = 0
    while read < records:
        read += len(consumer.consume(min(records - read, 10_000), 0.1))
    production.wait()


def target(topic: str, where: str = "", fields: str = "") -> str:
    """Path and query of a topic, without a ticket."""
    parts = [f"{name}={quote(value)}" for name, value in (("where", where), ("fields", fields)) if value]
    return f"{PREFIX}/topics/{quote(topic, safe='')}" + ("?" + "&".join(parts) if parts else "")
