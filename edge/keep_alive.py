"""Pings, and noticing peers that are dead (RFC 6455, section 5.5.2).

`Liveness` is pure, one per socket; `KeepAlive` goes round all sockets on the event loop. Tornado's own pinging takes a
task per socket and drops a peer that answers late because it reads slowly, whatever progress it makes.
"""

import asyncio
from enum import Enum
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

_SLOTS = 32
"""Groups that the sockets are visited in, so that ten thousand are not pinged in one turn of the event loop."""


class Sign(Enum):
    """What to do about a socket."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


class Liveness:
    """Whether one peer lives.

    Args:
        interval_sec: quiet time after which it is pinged.
        timeout_sec: time in which it must answer, or at least take some of what was sent before the ping.
        now: seconds, of a monotonic clock.
    """

    __slots__ = ("_acknowledged", "_heard", "_interval_sec", "_pinged_at", "_quiet_since", "_timeout_sec")

    def __init__(self, interval_sec: float, timeout_sec: float, now: float) -> None:
        """Begins alive."""
        self._interval_sec = interval_sec
        self._timeout_sec = timeout_sec
        self._heard = 0
        self._acknowledged = 0
        self._quiet_since = now
        self._pinged_at: float | None = None

    def visit(self, now: float, heard: int, acknowledged: int, outstanding: int) -> Sign:
        """Says what to do now; a `PING` counts as sent.

        Args:
            now: of the same clock.
            heard: frames that have come from the peer so far.
            acknowledged: bytes the peer has acknowledged so far.
            outstanding: bytes on their way to it. Without any, that bytes were acknowledged says nothing: the peer's
                kernel does that, the ping's bytes included, when the program behind it hangs.
        """
        lives = heard != self._heard
        is_taking = outstanding > 0 and acknowledged != self._acknowledged
        self._heard = heard
        self._acknowledged = acknowledged
        if lives:
            self._pinged_at = None
            self._quiet_since = now
        if self._pinged_at is not None:
            if is_taking:
                self._pinged_at = now
            return Sign.DEAD if now - self._pinged_at >= self._timeout_sec else Sign.NOTHING
        if now - self._quiet_since >= self._interval_sec:
            self._pinged_at = now
            return Sign.PING
        return Sign.NOTHING


class Peer(Protocol):
    """A socket to be kept alive."""

    def check_alive(self, now: float) -> None:
        """Asks its `Liveness` and does what it says."""


class KeepAlive:
    """Visits all sockets, again and again; one per process.

    Args:
        interval_sec: as for `Liveness`; 0: nobody is visited.
        timeout_sec: as for `Liveness`.
    """

    def __init__(self, interval_sec: float, timeout_sec: float) -> None:
        """Begins without sockets."""
        self.interval_sec = interval_sec
        self.timeout_sec = timeout_sec
        self._slots: list[dict[Peer, None]] = [{} for _ in range(_SLOTS)]
        self._added = 0

    def liveness(self) -> Liveness:
        """For a new socket."""
        return Liveness(self.interval_sec, self.timeout_sec, asyncio.get_running_loop().time())

    def add(self, peer: Peer) -> None:
        """Visits it from now on."""
        self._added += 1
        self._slots[self._added % _SLOTS][peer] = None

    def remove(self, peer: Peer) -> None:
        """Visits it no more."""
        for slot in self._slots:
            if peer in slot:
                del slot[peer]
                return

    async def run(self) -> None:
        """Goes round until cancelled. A round takes half of the shorter of both times."""
        if self.interval_sec <= 0:
            return
        pause = min(self.interval_sec, self.timeout_sec) / 2 / _SLOTS
        loop = asyncio.get_running_loop()
        while True:
            for slot in self._slots:
                await asyncio.sleep(pause)
                now = loop.time()
                for peer in list(slot):
                    try:
                        peer.check_alive(now)
                    except Exception:
                        _log.exception("a socket could not be pinged")
                        slot.pop(peer, None)
