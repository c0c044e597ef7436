"""A plain Kafka consumer, to tell Kafka's own stalls from ours: `python -m tests.chaos.reference <settings file>`.

A process of its own, started by :mod:`tests.chaos.system` with the settings of a client process. It reads every
record, sees that Kafka has each once and in order, and reports how late they came, like the clients do.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
from confluent_kafka import Consumer, TopicPartition

from runtime import event_loop
from tests.chaos.clients import Delays, Settings
from tests.chaos.expectation import Expectation
from tests.chaos.population import PROCESSES
from tests.chaos.records import EVERYTHING, PARTITIONS
from tests.chaos.reporting import REPORT_INTERVAL_SEC, Note, Report

REFERENCE = PROCESSES
"""Its number among the client processes."""

NOBODY = -1
"""Its number among the clients."""

_BATCH = 5_000


class Reader:
    """Reads on a thread.

    :param bootstrap: of the cluster.
    :param topic: its name.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.delays = Delays()
        self.problems: list[str] = []
        self._expectation = Expectation(EVERYTHING, PARTITIONS)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "chaos-reference",
                "enable.auto.commit": False,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                # A broker that hangs is left soon.
                "socket.timeout.ms": 3_000,
                "fetch.error.backoff.ms": 100,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])

    def run(self, is_over: Callable[[], bool]) -> None:
        """Reads until told."""
        while not is_over():
            messages = self._consumer.consume(1, 0.1)
            messages += self._consumer.consume(_BATCH, 0)
            now, worst = time.monotonic(), 0.0
            for message in messages:
                payload = message.value()
                if message.error() is not None or payload is None:
                    continue
                value = orjson.loads(payload)
                problem = self._expectation.receive(value["p"], value["n"])
                if problem is not None:
                    self.problems.append(f"Kafka itself: {problem}")
                worst = max(worst, now - value["at"] / 1e6)
            if worst:
                self.delays.note(now, worst)
        self._consumer.close()


async def _run(settings: Settings, bootstrap: str) -> None:
    stop = event_loop.stop_signal()
    reader = Reader(bootstrap, settings.topic)
    thread = threading.Thread(target=reader.run, args=(stop.is_set,))
    thread.start()
    _, writer = await asyncio.open_connection("127.0.0.1", settings.report_port)
    while not stop.is_set():
        problems, reader.problems = reader.problems, []
        notes = [Note(time.monotonic(), NOBODY, "problem", NOBODY, text=text) for text in problems]
        writer.write(Report(REFERENCE, [], reader.delays.take(), notes).encode())
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), REPORT_INTERVAL_SEC)
    thread.join()


def main() -> None:
    """Runs until SIGTERM."""
    path, bootstrap = sys.argv[1:]
    event_loop.run(_run(Settings(**json.loads(Path(path).read_text())), bootstrap))


if __name__ == "__main__":
    main()
