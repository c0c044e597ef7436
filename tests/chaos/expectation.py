"""What one client must get next, and what is wrong with what it gets. Pure; one for each client.

A client that resumes expects the next record of each partition after whatever happens. A client that begins at the
end of the topic knows only a bound: what was written after the handshake must come.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.records import PERIOD, Selection


@dataclass
class Tally:
    """Counts of one client.

    :param checked: records that were looked at.
    :param lost: records that should have come before one that came, or before the end.
    :param duplicated: records that had come before, or come out of order.
    :param unwanted: records that the filter should have kept back.
    """

    checked: int = 0
    lost: int = 0
    duplicated: int = 0
    unwanted: int = 0

    @property
    def faults(self) -> int:
        """All that is wrong."""
        return self.lost + self.duplicated + self.unwanted


class Expectation:
    """The next number in each partition.

    :param selection: what the client has asked for.
    :param partitions: number of partitions.
    """

    def __init__(self, selection: Selection, partitions: int) -> None:
        self._selection = selection
        self._gaps = selection.gaps()
        self.next = [self._gaps[0]] * partitions
        """The number that has to come next; where `is_open`, the highest that it may have."""
        self._is_open = [False] * partitions
        self.tally = Tally()

    def begin_at_end(self, ends: Sequence[int]) -> None:
        """A new stream begins somewhere at or before `ends`: every number from there on is written later."""
        for partition, end in enumerate(ends):
            self.next[partition] = self._first(end)
            self._is_open[partition] = True

    def receive(self, partition: int, number: int) -> str | None:
        """Checks one record; returns what is wrong, None when it is the right one."""
        self.tally.checked += 1
        expected = self.next[partition]
        if number == expected and not self._is_open[partition]:
            after = number + 1
            self.next[partition] = after + self._gaps[after % PERIOD]
            return None
        return self._receive_other(partition, number, expected)

    def _receive_other(self, partition: int, number: int, expected: int) -> str | None:
        place = f"partition {partition}: got {number}, expected {expected}"
        if self._gaps[number % PERIOD]:
            self.tally.unwanted += 1
            return f"{place}: it does not pass the filter"
        is_open, self._is_open[partition] = self._is_open[partition], False
        if number < expected and not is_open:
            self.tally.duplicated += 1
            return f"{place}: it has come before, or comes out of order"
        self.next[partition] = self._first(number + 1)
        if number <= expected:
            return None
        lost = self._selection.count(expected, number)
        self.tally.lost += lost
        return f"{place}: {lost} lost"

    def missing(self, ends: Sequence[int]) -> int:
        """How many records below `ends` have not come yet."""
        return sum(self._selection.count(number, end) for number, end in zip(self.next, ends, strict=True))

    def _first(self, number: int) -> int:
        return number + self._gaps[number % PERIOD]
