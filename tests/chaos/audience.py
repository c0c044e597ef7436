"""The processes around the system: who writes, who reads as a client, who reads Kafka itself; and their books.

Used by both kinds of runs, :mod:`tests.chaos.run` and :mod:`tests.chaos.memory`, on their event loop.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, TopicPartition

from tests.chaos.books import Books
from tests.chaos.clients import Settings
from tests.chaos.counters import Counters
from tests.chaos.population import POPULATIONS, PROCESSES
from tests.chaos.records import PARTITIONS
from tests.chaos.reporting import REPORT_INTERVAL_SEC
from tests.kafka.cluster import KafkaCluster
from tests.processes import Process, inherited_environment, tail
from tests.stack.stack import ROOT

TOPIC = "admin.chaos"

_CONNECT_SEC = 60.0
_LOOK_SEC = 0.2

_WRITE_SEC = 90.0
"""In which everything has to be written, after the last record was handed to Kafka's client."""

_FINISH_SEC = 60.0
"""Once no more is written, how long nobody may get anything before those who lack something count as stuck."""

_LONGEST_FINISH_SEC = 300.0
"""In which every client has to have everything."""

_LINGER_SEC = 1.0
"""In which nothing may come after that."""

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args)


class Audience:
    """The processes and their books.

    :param directory: an existing folder for logs and files.
    :param kafka: a cluster that runs and has no topic yet.
    :param rate: records written a second.
    :param population: name of the clients.
    """

    def __init__(self, directory: Path, kafka: KafkaCluster, rate: int, population: str) -> None:
        self.rate = rate
        self.books = Books()
        self.counters = Counters.create(directory / "counters")
        self.wishes = POPULATIONS[population]()
        self._population = population
        self._directory = directory
        self._kafka = kafka
        self.producer = self._process("producer", "producer")
        self.producer.command += [kafka.bootstrap, TOPIC, str(rate), str(directory / "counters")]
        self.clients = [self._process(f"clients-{number}", "clients") for number in range(PROCESSES)]
        self.reference = self._process("reference", "reference")

    def _process(self, name: str, module: str) -> Process:
        environment = inherited_environment(
            {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto' / 'generated'}", "PYTHONUNBUFFERED": "1"}
        )
        command = [sys.executable, "-m", f"tests.chaos.{module}"]
        return Process(name, command, log_path=self._directory / f"{name}.log", env=environment, cwd=ROOT)

    async def create_topic(self) -> None:
        """To be called before the others."""
        await in_thread(self._kafka.create_topic, TOPIC, PARTITIONS)

    async def connect(self, edges: Sequence[str]) -> None:
        """Starts clients and reference; returns when every client has a stream.

        :param edges: `http://host:port` of each.
        """
        port = await self.books.listen()
        for number, process in enumerate([*self.clients, self.reference]):
            path = self._directory / f"{process.name}.json"
            counters = str(self._directory / "counters")
            Settings(number, self._population, port, list(edges), TOPIC, counters).write(path)
            process.command.append(str(path))
        self.reference.command.append(self._kafka.bootstrap)
        for process in (*self.clients, self.reference):
            await in_thread(process.start)
        async with asyncio.timeout(_CONNECT_SEC):
            while sum(state.edge is not None for state in self.books.states.values()) < len(self.wishes):
                self.check()
                await asyncio.sleep(_LOOK_SEC)

    def check(self) -> None:
        """Sees that the processes live.

        :raises AssertionError: one does not; its log is in the text.
        """
        for process in (*self.clients, self.reference):
            assert process.running, f"{process.name} ended with {process.exit_code}:\n{tail(process.log())}"

    async def finish(self) -> list[int]:
        """Stops writing, and waits until every client has everything; what is missing then is a problem.

        :returns: how many records each partition has.
        :raises AssertionError: the producer could not write all of them, or Kafka has another number.
        """
        self.producer.begin_stop()
        code = await in_thread(self.producer.wait, _WRITE_SEC)
        assert code == 0, f"the producer ended with {code}:\n{tail(self.producer.log())}"
        ends = self.counters.read()
        kept = await in_thread(self._ends_in_kafka)
        assert kept == ends, f"written to each partition: {ends}; Kafka has {kept}"
        missing = await self._all_received(ends)
        await asyncio.sleep(_LINGER_SEC + 2 * REPORT_INTERVAL_SEC)
        for number, count in missing.items():
            self.books.problems.append(f"{self.wishes[number].name} never got its last {count} records")
        self.check()
        return ends

    async def _all_received(self, ends: Sequence[int]) -> dict[int, int]:
        """Waits for that, as long as anybody gets something; returns what is missing in the end."""
        begun = moved_at = time.monotonic()
        before = missing = self.missing(ends)
        while missing:
            await asyncio.sleep(REPORT_INTERVAL_SEC)
            now, missing = time.monotonic(), self.missing(ends)
            if missing != before:
                before, moved_at = missing, now
            if now > moved_at + _FINISH_SEC or now > begun + _LONGEST_FINISH_SEC:
                break
        return missing

    def _ends_in_kafka(self) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self._kafka.bootstrap, "group.id": "chaos", "log_level": 0})
        try:
            return [
                consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=30)[1]
                for partition in range(PARTITIONS)
            ]
        finally:
            consumer.close()

    def missing(self, ends: Sequence[int]) -> dict[int, int]:
        """Client -> how many of the records below `ends` it has not got yet; without those that have all."""
        missing = {}
        for number, state in self.books.states.items():
            selection = self.wishes[number].selection
            count = sum(selection.count(begin, end) for begin, end in zip(state.next, ends, strict=True))
            if count:
                missing[number] = count
        return missing

    async def stop(self) -> None:
        """Stops all that is left."""
        for process in (self.producer, self.reference, *self.clients):
            process.begin_stop()
        for process in (self.producer, self.reference, *self.clients):
            await in_thread(process.wait_or_kill)
        self.books.close()
