"""What a scenario has measured, as JSON in a file, and compared with a former run. Pure but for the files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


class Better(Enum):
    """Which values of a measurement are good."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Measurement:
    """One figure, measured several times.

    Attributes:
        name: `<scenario>.<what>`; the same in every version, runs are compared by it.
        title: what it is, for people.
        unit: of the values, e.g. `records/s`.
        values: one per run, in order; never empty.
        better: which direction is good.
        goal: the value to be reached; None for figures that only explain others.
        details: more about it: JSON values, e.g. CPU time per record of each process.
    """

    name: str
    title: str
    unit: str
    values: Sequence[float]
    better: Better = Better.HIGHER
    goal: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The value to speak of: half of the runs were better."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return min(self.values), max(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.better is Better.HIGHER else self.median <= self.goal


@dataclass(frozen=True)
class Change:
    """A measurement beside the same one of a former run.

    Attributes:
        ratio: median now / median then; above 1 is better when `better` is HIGHER.
        is_clear: whether both were measured several times and their spreads do not touch: less may be chance.
    """

    ratio: float
    is_clear: bool
    is_better: bool


def compare(now: Measurement, then: Measurement) -> Change | None:
    """How a figure has changed; None when there is nothing to divide by."""
    if then.median == 0:
        return None
    # A single run has no spread that could say how much is chance.
    has_spread = len(now.values) > 1 and len(then.values) > 1
    is_clear = has_spread and (now.spread[0] > then.spread[1] or now.spread[1] < then.spread[0])
    is_better = now.median > then.median if now.better is Better.HIGHER else now.median < then.median
    return Change(now.median / then.median, is_clear, is_better)


def save(path: Path, about: Mapping[str, Any], measurements: Sequence[Measurement]) -> None:
    """Writes `benchmarks.json`.

    Args:
        about: machine, versions, time: what a reader must know to judge the figures.
    """
    rows = [{**asdict(one), "better": one.better.value, "median": one.median} for one in measurements]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": dict(about), "measurements": rows}, indent=1) + "\n")


def load(path: Path) -> dict[str, Measurement]:
    """Reads a `benchmarks.json`: measurements by name.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none.
    """
    try:
        rows = json.loads(path.read_text())["measurements"]
        return {
            row["name"]: Measurement(
                row["name"],
                row["title"],
                row["unit"],
                row["values"],
                Better(row["better"]),
                row["goal"],
                row["details"],
            )
            for row in rows
        }
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a benchmarks.json of this suite: {error!r}") from error
