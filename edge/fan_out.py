"""From one subscription to its sockets: what arrives waits in a `FanOut`, the `Writer` hands it on.

All on the event loop. Sessions append frames as they arrive; the process's one writer goes round the fan-outs that
have some, takes everything that waits (up to a limit) as one bytes object and gives that to each member. So the cost
of a delivery falls as load rises, and a turn never falls behind by its own fault.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from edge import metrics
from edge.position import Position

_log = structlog.get_logger(__name__)

_SLICE = 256
"""Socket writes after which the event loop gets a turn; a write of more than 8 KiB counts for several."""
_SLICE_SHIFT = 13

_REST = 0.5
"""Pause after a turn, as a share of the time it took, if more is waiting by then. Meanwhile the event loop reads all
that has arrived: without it a turn over many sockets finds one more message, writes that to all of them, and so falls
behind by its own fault. A short turn causes no pause, a socket's records wait for half a turn at most, and when a
whole write of a socket is waiting there is no pause."""


class Member(Protocol):
    """A socket that hangs on a fan-out."""

    def give(self, data: bytes) -> None:
        """Takes frames; may detach itself from the fan-out that gave them."""

    def fail(self) -> None:
        """Giving has raised: drop the socket."""


class _Chunk:
    """Frames of one batch with the position behind them; no frames: only the position has moved."""

    __slots__ = ("data", "next_offset", "partition", "records")

    def __init__(self, data: bytes, records: int, partition: int, next_offset: int) -> None:
        self.data = data
        self.records = records
        self.partition = partition
        self.next_offset = next_offset


class FanOut:
    """The sockets of one subscription, and what waits for them.

    Every member has been given everything up to `given`, at the moment at which it is given something: a member that
    leaves from within `give` continues from there.

    Args:
        writer: the process's writer.

    Attributes:
        given: the position behind all that members have been given.
    """

    __slots__ = ("_chunks", "_joiners", "_members", "_waiting", "_writer", "given", "is_queued")

    def __init__(self, writer: "Writer", start: Mapping[int, int] | None = None) -> None:
        """Begins without members at position `start`."""
        self._writer = writer
        self._chunks: list[_Chunk] = []
        self._waiting = 0
        self._members: dict[Member, None] = {}
        self._joiners: dict[Member, int] = {}
        self.given = Position(start or {})
        self.is_queued = False

    def attach(self, member: Member) -> None:
        """Gives `member` everything that is appended from now on, and nothing that waits already."""
        if self._chunks:
            self._joiners[member] = len(self._chunks)
        else:
            self._members[member] = None

    def detach(self, member: Member) -> dict[int, int]:
        """Gives `member` nothing any more. Does nothing when it is not attached.

        Returns:
            The position behind what it was given last, if it was given anything.
        """
        self._members.pop(member, None)
        self._joiners.pop(member, None)
        position = self.given.snapshot()
        if not self.is_used:
            self._take(len(self._chunks))
        return position

    def append(self, data: bytes, records: int, partition: int, next_offset: int) -> None:
        """Puts frames behind those that wait.

        Args:
            data: frames; empty: only the position moves.
            records: number of frames.
            partition: their partition.
            next_offset: the position behind them.
        """
        if not self.is_used:
            self.given.advance(partition, next_offset)
            return
        if not data and not self._chunks:
            self.given.advance(partition, next_offset)
            return
        self._chunks.append(_Chunk(data, records, partition, next_offset))
        self._waiting += len(data)
        self._writer.queue(self, len(data))

    def append_notice(self, data: bytes) -> None:
        """Puts frames that are no records, and move no position, behind those that wait; nobody misses them."""
        if data and self.is_used:
            self.append(data, 0, 0, 0)

    def flush(self) -> None:
        """Gives all members everything that waits, now. For the few members of a private subscription."""
        while self._chunks:
            for member, data in self.turn(self._waiting):
                if self.has(member):
                    member.give(data)

    def has(self, member: Member) -> bool:
        """Whether `member` is attached and no longer joining."""
        return member in self._members

    def turn(self, limit: int) -> list[tuple[Member, bytes]]:
        """Takes what waits and says who gets what.

        Args:
            limit: bytes to take at most; a single chunk that is larger is taken anyway.

        Returns:
            (member, frames); a member that is gone when its turn comes (`has`) must be left out.
        """
        count, size = 0, 0
        for chunk in self._chunks:
            size += len(chunk.data)
            if count and size > limit:
                break
            count += 1
        taken = self._take(count)
        data = b"".join([chunk.data for chunk in taken]) if len(taken) > 1 else taken[0].data if taken else b""
        turn = [(member, data) for member in self._members] if data else []
        metrics.DELIVERIES.inc(sum([chunk.records for chunk in taken]) * len(turn))
        metrics.WRITTEN_BYTES.inc(len(data) * len(turn))
        for member, skip in list(self._joiners.items()):
            if skip > count:
                self._joiners[member] = skip - count
                continue
            del self._joiners[member]
            self._members[member] = None
            missed = b"".join([chunk.data for chunk in taken[skip:]])
            if missed:
                turn.append((member, missed))
        return turn

    def _take(self, count: int) -> list[_Chunk]:
        taken = self._chunks[:count]
        del self._chunks[:count]
        size = 0
        for chunk in taken:
            size += len(chunk.data)
            self.given.advance(chunk.partition, chunk.next_offset)
        self._waiting -= size
        self._writer.took(size)
        return taken

    @property
    def is_used(self) -> bool:
        """Whether anybody is attached."""
        return bool(self._members or self._joiners)

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._chunks)


class Writer:
    """Gives waiting frames to sockets, turn by turn; one per process.

    Args:
        write_limit: bytes given to a socket at a time.
        backlog_limit: waiting bytes, over all fan-outs, from which on `room` waits.
    """

    def __init__(self, write_limit: int, backlog_limit: int) -> None:
        """Begins with nothing to write."""
        self._write_limit = write_limit
        self._backlog_limit = backlog_limit
        self._backlog = 0
        self._queue: list[FanOut] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def queue(self, fan_out: FanOut, size: int) -> None:
        """`fan_out` has `size` more bytes waiting."""
        self._backlog += size
        if self._backlog > self._backlog_limit:
            self._room.clear()
        if not fan_out.is_queued:
            fan_out.is_queued = True
            self._queue.append(fan_out)
            self._wake.set()

    def took(self, size: int) -> None:
        """`size` bytes wait no more."""
        self._backlog -= size
        if self._backlog <= self._backlog_limit // 2:
            self._room.set()

    @property
    def has_room(self) -> bool:
        """Whether more may be read; when not, await `room`."""
        return self._room.is_set()

    async def room(self) -> None:
        """Waits until half of the backlog is written. Whoever reads from the filter service waits here, so that
        gRPC's flow control holds the sender back, and memory stays bounded (design, promise 4).
        """
        await self._room.wait()

    async def run(self) -> None:
        """Writes until cancelled."""
        share = 0
        now = asyncio.get_running_loop().time
        began = ended = now()
        while True:
            await self._wake.wait()
            rest = (ended - began) * _REST - (now() - ended)
            if rest > 0 and self._backlog < self._write_limit:
                await asyncio.sleep(rest)
            began = now()
            self._wake.clear()
            queue, self._queue = self._queue, []
            metrics.BACKLOG_BYTES.set(self._backlog)
            for fan_out in queue:
                fan_out.is_queued = False
                for member, data in fan_out.turn(self._write_limit):
                    if not fan_out.has(member):
                        continue
                    try:
                        member.give(data)
                    except Exception:
                        _log.exception("a socket could not be written to")
                        fan_out.detach(member)
                        member.fail()
                    share += 1 + (len(data) >> _SLICE_SHIFT)
                    if share >= _SLICE:
                        share = 0
                        await asyncio.sleep(0)
                if fan_out.has_waiting:
                    self.queue(fan_out, 0)
            metrics.BACKLOG_BYTES.set(self._backlog)
            ended = now()
