"""Delays between attempts: exponential, with jitter so that many edges do not knock at once. Pure but for the dice."""

import random


class Backoff:
    """Delays of one series of attempts.

    Args:
        first: upper end of the first delay, seconds.
        last: upper end that is never passed, seconds.
    """

    __slots__ = ("_first", "_last", "_next")

    def __init__(self, first: float = 0.1, last: float = 2.0) -> None:
        """Begins with the shortest delay."""
        self._first = first
        self._last = last
        self._next = first

    def succeeded(self) -> None:
        """Begins again with the shortest delay."""
        self._next = self._first

    def delay(self) -> float:
        """Seconds to wait before the next attempt: between a half and the whole of a span that doubles."""
        span = self._next
        self._next = min(2 * span, self._last)
        return span * random.uniform(0.5, 1.0)  # noqa: S311  (not for secrets)
