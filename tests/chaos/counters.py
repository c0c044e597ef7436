"""How many records of each partition have been handed to Kafka's client: memory that all processes of a run share.

The producer counts before it writes, so a client that looks after its handshake knows a number from which on every
record is written later.
"""

import mmap
from pathlib import Path

from tests.chaos.records import PARTITIONS

_SIZE = 8 * PARTITIONS


class Counters:
    """One number for each partition.

    :param path: the file that is mapped.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")

    @staticmethod
    def create(path: Path) -> "Counters":
        """A new file of zeros."""
        path.write_bytes(bytes(_SIZE))
        return Counters(path)

    def read(self) -> list[int]:
        """All numbers. Each is whole; together they are from no single moment."""
        return self._numbers.tolist()

    def set(self, partition: int, number: int) -> None:
        """Sets one."""
        self._numbers[partition] = number
