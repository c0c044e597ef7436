"""From one subscription to its sockets: what arrives waits in a `FanOut`, the `Writer` hands it on.

All on the event loop. Sessions append frames as they arrive; the process's one writer goes round the fan-outs that
have some, takes everything that waits (up to a limit) as one bytes object and gives that to each member. So the cost
of a delivery falls as load rises, and a turn never falls behind by its own fault.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog

from edge import metrics
from edge.position import Position

_log = structlog.get_logger(__name__)

_ROW = 128
"""Sockets that are given the same at the same time."""

_SLICE = 32
"""Socket writes after which the event loop gets a turn, in which it reads a message or none; a write of more than 8 KiB
counts for several."""
_SLICE_SHIFT = 13

_REST = 0.02
"""Pause after a turn, as a share of the time it took, if more is waiting by then. Meanwhile the event loop reads all
that has arrived, for which the slices may not be enough: a turn over many sockets that finds one more message writes
that to all of them, and so falls behind by its own fault. When a whole write of a socket is waiting there is no
pause."""


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


class _Row:
    """Sockets that are given the same at the same time.

    Attributes:
        members: those that take everything that waits, and later everything else.
        joiners: those that take part from a chunk on that waits: its number.
        next: number of the first chunk that waits for this row.
        given: the position behind all that members have been given.
    """

    __slots__ = ("given", "joiners", "members", "next")

    def __init__(self, next_chunk: int, given: Position) -> None:
        self.members: dict[Member, None] = {}
        self.joiners: dict[Member, int] = {}
        self.next = next_chunk
        self.given = given

    def __len__(self) -> int:
        return len(self.members) + len(self.joiners)


class FanOut:
    """The sockets of one subscription, and what waits for them.

    Sockets stand in rows. A row is given all that has come by the time of its turn, so that the last one need not wait
    for what has come since the first one's. Every member of a row has been given everything up to the row's position,
    at the moment at which it is given something: a member that leaves from within `give` continues from there.

    Args:
        writer: the process's writer.
        start: position of those that attach before anything is appended.
    """

    __slots__ = ("_chunks", "_end", "_first", "_row_of", "_rows", "_writer", "is_queued")

    def __init__(self, writer: "Writer", start: Mapping[int, int] | None = None) -> None:
        """Begins without members."""
        self._writer = writer
        self._chunks: list[_Chunk] = []
        self._first = 0
        """Number of the first chunk that waits for any row; they count from 0."""
        self._end = Position(start or {})
        """Behind all chunks."""
        self._rows: list[_Row] = []
        self._row_of: dict[Member, _Row] = {}
        self.is_queued = False

    def begin(self, start: Mapping[int, int]) -> None:
        """Learns where partitions begin that have none yet."""
        for position in (self._end, *[row.given for row in self._rows]):
            position.begin(start)

    def attach(self, member: Member) -> None:
        """Gives `member` everything that is appended from now on, and nothing that waits already."""
        end = self._first + len(self._chunks)
        row = min(self._rows, key=len, default=None)
        if row is None or len(row) >= _ROW:
            row = _Row(end, Position(self._end.next_offsets))
            self._rows.append(row)
        self._row_of[member] = row
        if row.next < end:
            row.joiners[member] = end
        else:
            row.members[member] = None

    def detach(self, member: Member) -> dict[int, int]:
        """Gives `member` nothing any more. Does nothing when it is not attached.

        Returns:
            The position behind what it was given last, if it was given anything.
        """
        position = self.given_to(member)
        row = self._row_of.pop(member, None)
        if row is not None:
            row.members.pop(member, None)
            row.joiners.pop(member, None)
            if not row:
                self._rows.remove(row)
                self._drop_given()
        return position

    def given_to(self, member: Member) -> dict[int, int]:
        """The position behind what `member` was given last; behind everything when it is not attached."""
        row = self._row_of.get(member)
        return (self._end if row is None else row.given).snapshot()

    def append(self, data: bytes, records: int, partition: int, next_offset: int) -> None:
        """Puts frames behind those that wait.

        Args:
            data: frames; empty: only the position moves.
            records: number of frames.
            partition: their partition.
            next_offset: the position behind them.
        """
        self._end.advance(partition, next_offset)
        if not self._rows:
            return
        if not data and not self._chunks:
            for row in self._rows:
                row.given.advance(partition, next_offset)
            return
        self._chunks.append(_Chunk(data, records, partition, next_offset))
        self._writer.queue(self, len(data))

    def append_notice(self, data: bytes) -> None:
        """Puts frames that are no records, and move no position, behind those that wait; nobody misses them."""
        if data and self.is_used:
            self.append(data, 0, 0, 0)

    def flush(self) -> None:
        """Gives all members everything that waits, now. For the few members of a private subscription."""
        while self._chunks:
            for turn in self.turns(sys.maxsize):
                for member, data in turn:
                    if self.has(member):
                        member.give(data)

    def has(self, member: Member) -> bool:
        """Whether `member` is attached and no longer joining."""
        row = self._row_of.get(member)
        return row is not None and member in row.members

    def turns(self, limit: int) -> Iterator[list[tuple[Member, bytes]]]:
        """Row by row, takes what waits at that time and says who gets what.

        Args:
            limit: bytes to take at most; a single chunk that is larger is taken anyway.

        Yields:
            For a row, (member, frames); a member that is gone when its turn comes (`has`) must be left out.
        """
        for row in list(self._rows):
            if row:
                yield self._turn(row, limit)

    def _turn(self, row: _Row, limit: int) -> list[tuple[Member, bytes]]:
        begin = row.next - self._first
        taken: list[_Chunk] = []
        size = 0
        for chunk in itertools.islice(self._chunks, begin, None):
            size += len(chunk.data)
            if taken and size > limit:
                break
            taken.append(chunk)
            row.given.advance(chunk.partition, chunk.next_offset)
        row.next += len(taken)
        data = b"".join([chunk.data for chunk in taken]) if len(taken) > 1 else taken[0].data if taken else b""
        turn = [(member, data) for member in row.members] if data else []
        metrics.DELIVERIES.inc(sum([chunk.records for chunk in taken]) * len(turn))
        metrics.WRITTEN_BYTES.inc(len(data) * len(turn))
        for member, first in list(row.joiners.items()):
            if first > row.next:
                continue
            del row.joiners[member]
            row.members[member] = None
            missed = b"".join([chunk.data for chunk in taken[first - row.next :]]) if first < row.next else b""
            if missed:
                turn.append((member, missed))
        self._drop_given()
        return turn

    def _drop_given(self) -> None:
        """Drops the chunks that every row has been given."""
        end = self._first + len(self._chunks)
        count = min([row.next for row in self._rows], default=end) - self._first
        if count:
            self._writer.took(sum([len(chunk.data) for chunk in self._chunks[:count]]))
            del self._chunks[:count]
            self._first += count

    @property
    def is_used(self) -> bool:
        """Whether anybody is attached."""
        return bool(self._rows)

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
                for turn in fan_out.turns(self._write_limit):
                    for member, data in turn:
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
