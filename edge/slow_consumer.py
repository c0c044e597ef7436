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


class Draining(Protocol):
    """A socket that has been given too much."""

    def look(self, now: float) -> bool:
        """Sees what it has taken; returns whether to look again."""


class LagWatch:
    """Looks at the sockets that are draining; one per process."""

    def __init__(self) -> None:
        """Begins with none."""
        self._draining: dict[Draining, None] = {}
        self._wake = asyncio.Event()

    def add(self, socket: Draining) -> None:
        """Looks at it until it says that it is enough."""
        self._draining[socket] = None
        self._wake.set()

    def remove(self, socket: Draining) -> None:
        """Looks at it no more."""
        self._draining.pop(socket, None)

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
