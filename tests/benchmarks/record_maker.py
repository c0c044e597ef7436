"""The records of the benchmarks: JSON of about 130 bytes, as a sensor sends it.

Used by the producer (a process of its own) and by the scenarios, which choose their conditions by it. Pure.
"""

from __future__ import annotations

STEPS = 1000
"""Distinct temperatures. In every `STEPS` records in a row each occurs once, in an order that looks random, so that
a condition on it passes an exact share."""

_STRIDE = 617
"""Has no factor in common with STEPS."""

TENTH = "temperature=gte:90;"
"""Passes exactly 10 % of the records."""


def temperature(number: int) -> float:
    """The temperature of a record: 0.0 to 99.9."""
    return number * _STRIDE % STEPS / 10


def single(step: int) -> str:
    """A condition that passes one record of `STEPS`, a range of two bounds.

    Args:
        step: which, 0 to STEPS - 1.
    """
    return f"temperature=gte:{step / 10:.1f};temperature=lt:{(step + 1) / 10:.1f};"


def record(number: int, time_us: int = 0) -> bytes:
    """One record.

    Args:
        number: its number in the run.
        time_us: when it is produced, microseconds of CLOCK_MONOTONIC; the load client finds it behind `{"t":`.
    """
    return (
        b'{"t":%d,"device":"sensor-%04d","number":%d,"temperature":%.1f,"humidity":%d.5,"status":"running",'
        b'"site":{"hall":%d}}' % (time_us, number % 1000, number, temperature(number), number % 90 + 10, number % 8)
    )
