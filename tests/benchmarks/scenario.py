"""What a scenario is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.measurement import Measurement
from tests.benchmarks.system import System


@dataclass(frozen=True)
class Effort:
    """How thorough a run is.

    Attributes:
        runs: how often each figure is measured.
        is_quick: whether to show that everything works rather than to measure it well.
    """

    runs: int
    is_quick: bool

    def amount(self, full: int) -> int:
        """A number of records, sockets or seconds: `full`, or a fifth of it (at least 1) when quick."""
        return max(1, full // 5) if self.is_quick else full


@dataclass(frozen=True)
class Scenario:
    """One thing to measure.

    Attributes:
        name: what `ONLY=` picks it by; measurements' names begin with it.
        title: what it shows.
        run: measures. The system is None when `needs_system` is false.
        needs_system: whether Kafka and Valkey must run.
    """

    name: str
    title: str
    run: Callable[[System, Effort], Sequence[Measurement]]
    needs_system: bool = True
