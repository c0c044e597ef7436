"""Whether one socket keeps up (design, "Slow consumers").

Each connection owns one `SlowConsumer`; nothing else knows the marks. It is pure: byte counts and times in, decisions
out. `LagWatch` looks, on the event loop, at those that are draining. The states:

    FOLLOWING --over the high mark--> DRAINING --at or below the low mark--> FOLLOWING
                                         |
                                         +--took nothing for too long--> STALLED (for good)
"""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge import metrics

_LOOK_SEC = 0.05
"""Between looks at a draining socket. What the kernel still holds for it bridges the time."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Limits of all sockets.

    Attributes:
        high: waiting bytes above which a socket is given no more.
        low: waiting bytes up to which it is given more again.
        stall_sec: seconds without taking a byte, while draining, after which it is given up.
    """

    high: int
    low: int
    stall_sec: float


class Pace(Enum):
    """How a socket keeps up."""

    FOLLOWING = "following"
    DRAINING = "draining"
    STALLED = "stalled"


class SlowConsumer:
    """The pace of one socket."""

    __slots__ = ("_marks", "_taken", "_taken_at", "pace")

    def __init__(self, marks: Marks) -> None:
        """Begins as FOLLOWING."""
        self._marks = marks
        self.pace = Pace.FOLLOWING
        self._taken = 0
        self._taken_at = 0.0

    def gave(self, waiting: int, taken: int, now: float) -> Pace:
        """The socket has been given data.

        Args:
            waiting: bytes that wait for it.
            taken: bytes it has taken in its life.
            now: seconds, of a monotonic clock.
        """
        if self.pace is Pace.FOLLOWING and waiting > self._marks.high:
            self.pace = Pace.DRAINING
            self._taken = taken
            self._taken_at = now
        return self.pace

    def looked(self, waiting: int, taken: int, now: float) -> Pace:
        """Someone has looked at the socket, some time after it began draining. Arguments as for `gave`."""
        if self.pace is not Pace.DRAINING:
            return self.pace
        if waiting <= self._marks.low:
            self.pace = Pace.FOLLOWING
        elif taken != self._taken:
            self._taken = taken
            self._taken_at = now
        elif now - self._taken_at >= self._marks.stall_sec:
            self.pace = Pace.STALLED
        return self.pace


class Lagging(Protocol):
    """A socket that is behind its stream."""

    def look(self, now: float) -> bool:
        """While it drains: sees what it has taken; returns whether to look again."""

    def lag(self) -> int:
        """Offsets between what it has been given and what has been received, over all partitions."""


class LagWatch:
    """Knows the sockets that are behind, and looks at those that are draining; one per process."""

    def __init__(self) -> None:
        """Begins with none."""
        self._draining: dict[Lagging, None] = {}
        self._lagging: dict[Lagging, None] = {}
        self._wake = asyncio.Event()
        # Called by the thread that serves metrics.
        metrics.LAGGING.set_function(lambda: len(self._lagging))
        metrics.LAG.set_function(self.longest_lag)

    def add(self, socket: Lagging) -> None:
        """It is behind, and draining: looks at it until it says that it is enough."""
        self._lagging[socket] = None
        self._draining[socket] = None
        self._wake.set()

    def remove(self, socket: Lagging) -> None:
        """It is level, or gone. May be called any number of times."""
        self._lagging.pop(socket, None)
        self._draining.pop(socket, None)

    def longest_lag(self) -> int:
        """The lag of the socket that is furthest behind; 0 when none is. Any thread."""
        return max((socket.lag() for socket in list(self._lagging)), default=0)

    async def run(self) -> None:
        """Looks until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            await asyncio.sleep(_LOOK_SEC)
            now = loop.time()
            for socket in list(self._draining):
                if not socket.look(now):
                    self._draining.pop(socket, None)
            if not self._draining:
                self._wake.clear()
