"""When a WebSocket has to end (behaviour, section 9), and the timer that ends it.

`deadline` is pure; `LifetimeTimer` runs on the event loop, one per socket.
"""

import asyncio
import time
from collections.abc import Callable

_LONGEST_SLEEP_SEC = 3600.0
"""Timers are set again at least this often: a far `exp` does not overflow, a corrected clock is noticed."""


def deadline(
    connected_at: float, max_life_sec: float, token_expires_at: float, honour_token_expiry: bool
) -> float | None:
    """When a connection must be closed with 4408.

    Args:
        connected_at: time of the handshake, seconds since the epoch.
        max_life_sec: `KAFKA_WS_SERVER_CONNECTION_MAX_LIFE_TIME`; 0 or less: off.
        token_expires_at: the token's `exp`, seconds since the epoch.
        honour_token_expiry: `KAFKA_WS_SERVER_JWT_EXP_TIME`.

    Returns:
        The later of both limits, seconds since the epoch, possibly past; None when both are off.
    """
    limits = []
    if max_life_sec > 0:
        limits.append(connected_at + max_life_sec)
    if honour_token_expiry:
        limits.append(token_expires_at)
    return max(limits, default=None)


class LifetimeTimer:
    """Calls back once the clock reaches a deadline, at once when it is past.

    Args:
        deadline: seconds since the epoch.
        expired: called once, from the event loop, never from the constructor.
        clock: seconds since the epoch.
    """

    __slots__ = ("_clock", "_deadline", "_expired", "_handle", "_loop")

    def __init__(self, deadline: float, expired: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        """Starts the timer on the running event loop."""
        self._deadline = deadline
        self._expired = expired
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle = self._loop.call_later(self._remaining(), self._check)

    def cancel(self) -> None:
        """Never calls back again."""
        self._handle.cancel()

    def _remaining(self) -> float:
        return min(max(self._deadline - self._clock(), 0.0), _LONGEST_SLEEP_SEC)

    def _check(self) -> None:
        if self._clock() >= self._deadline:
            self._expired()
        else:
            self._handle = self._loop.call_later(self._remaining(), self._check)
