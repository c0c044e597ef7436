"""Numbered records for tests that count what arrives: each partition has the numbers from 0 on, in order.

Blocking; :meth:`Feed.running` writes from a thread of its own.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.kafka.records import RecordWriter

_BATCH = 20
"""Records of one partition that are written together."""

_PAUSE_SEC = 0.1


class Feed:
    """Writes records like `{"partition": 1, "n": 17, "more": "left out"}` to a topic that nobody else writes to.

    :param partitions: of the topic.
    """

    def __init__(self, records: RecordWriter, topic: str, partitions: int) -> None:
        self._records = records
        self._topic = topic
        self.partitions = partitions
        self.count = 0
        """Records written to each partition."""

    @property
    def total(self) -> int:
        """Records written to all of them."""
        return self.count * self.partitions

    def write(self) -> None:
        """A few more to every partition."""
        for partition in range(self.partitions):
            values = [
                json.dumps({"partition": partition, "n": number, "more": "left out"})
                for number in range(self.count, self.count + _BATCH)
            ]
            self._records.write_all(self._topic, values, partition=partition)
        self.count += _BATCH

    @contextmanager
    def running(self) -> Iterator[None]:
        """Writes all the time, a few hundred records a second."""
        is_over = threading.Event()

        def write() -> None:
            while not is_over.wait(_PAUSE_SEC):
                self.write()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            try:
                yield
            finally:
                is_over.set()
                writing.result()

    def check(self, seen: Iterable[tuple[int, int]]) -> None:
        """Assert that everything has been seen, each record once, in order per partition.

        :param seen: (partition, number) of each record, as they came.
        """
        found: dict[int, list[int]] = {partition: [] for partition in range(self.partitions)}
        for partition, number in seen:
            found[partition].append(number)
        assert found == {partition: list(range(self.count)) for partition in range(self.partitions)}
