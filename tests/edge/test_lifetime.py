"""Deadlines: the table of behaviour section 9."""

import asyncio
import time

import pytest

from edge.lifetime import LifetimeTimer, deadline

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("max_life_sec", "token_expires_at", "honour", "expected"),
    [
        (7200, NOW + 60, False, NOW + 7200),
        (7200, NOW - 60, False, NOW + 7200),
        (7200, NOW + 60, True, NOW + 7200),
        (7200, NOW + 9000, True, NOW + 9000),
        (7200, NOW - 60, True, NOW + 7200),
        (0, NOW + 60, True, NOW + 60),
        (-1, NOW + 60, True, NOW + 60),
        (-1, NOW - 60, True, NOW - 60),
        (0, NOW + 60, False, None),
        (-1, NOW - 60, False, None),
    ],
)
def test_deadline(max_life_sec: float, token_expires_at: float, honour: bool, expected: float | None) -> None:
    """The later of both limits; 0 and below is off; without any, never."""
    assert deadline(NOW, max_life_sec, token_expires_at, honour) == expected


async def test_past_deadline_expires_at_once() -> None:
    """A deadline that is past when the socket opens ends it at once, but not from within the constructor."""
    expired = asyncio.Event()
    LifetimeTimer(time.time() - 5, expired.set)
    assert not expired.is_set()
    await asyncio.wait_for(expired.wait(), 10)


async def test_corrected_clock_is_followed() -> None:
    """A timer that fires before the clock has reached the deadline goes on waiting."""
    clock = [NOW]
    expired = asyncio.Event()
    timer = LifetimeTimer(NOW + 0.01, expired.set, lambda: clock[0])
    await asyncio.sleep(0.05)
    assert not expired.is_set()
    clock[0] = NOW + 1
    await asyncio.wait_for(expired.wait(), 10)
    timer.cancel()


async def test_far_deadline() -> None:
    """A token that expires in ten thousand years is no reason to fail."""
    LifetimeTimer(NOW + 1e15, lambda: None).cancel()
