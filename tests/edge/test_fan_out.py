"""What each socket is given, when it joins and leaves at any moment, and how much at a time."""

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from edge import fan_out
from edge.config import EdgeSettings
from edge.fan_out import FanOut, Member, Writer
from edge.service import Edge
from tests.edge.conftest import eventually

_MARK = 100_000


class Taker:
    """A member that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def give(self, data: bytes) -> None:
        """Of the `Member` protocol."""
        self.given.append(len(data))

    def fail(self) -> None:
        """Of the `Member` protocol."""


async def test_what_piles_up_is_given_in_parts() -> None:
    """No write is larger than half of the high mark: a moment's pile does not make a socket slow that takes it all."""
    settings: dict[str, Any] = {
        "filter_address": ("127.0.0.1:1",),
        "ticket_address": "127.0.0.1:1",
        "server_slow_consumer_high_mark": _MARK,
        "server_slow_consumer_low_mark": _MARK // 10,
        "server_write_limit": 10 * _MARK,
    }
    edge = Edge(EdgeSettings(**settings))
    sockets, taker = FanOut(edge.writer), Taker()
    sockets.attach(taker)
    for offset in range(30):
        sockets.append(b"x" * 10_000, 1, 0, offset + 1)
    writing = asyncio.create_task(edge.writer.run())
    await eventually(lambda: sum(taker.given) == 300_000, "all is given")
    writing.cancel()
    await edge.tickets.close()
    assert max(taker.given) <= _MARK // 2


class Reader:
    """A member that knows what it must get.

    Attributes:
        end: number of records there were when it attached.
        got: what it was given.
        leaves: whether it leaves as soon as it is given something.
    """

    def __init__(self, of: FanOut, end: int) -> None:
        self.end = end
        self.got = b""
        self.leaves = False
        self.position: dict[int, int] | None = None
        self._fan_out = of

    def give(self, data: bytes) -> None:
        """Of the `Member` protocol."""
        self.got += data
        if self.leaves:
            self.leave()

    def fail(self) -> None:
        """Of the `Member` protocol."""

    def leave(self) -> None:
        """Detaches, and notes where it was."""
        self.position = self._fan_out.detach(self)


which = st.integers(0, 1_000)


class FanOuts(RuleBasedStateMachine):
    """One fan-out with rows of two, written to row by row; record `n` has the offset `n`."""

    def __init__(self) -> None:
        super().__init__()
        self.row = fan_out._ROW
        fan_out._ROW = 2
        # With so little room there is some only while nothing waits.
        self.writer = Writer(1 << 20, 1)
        self.fan_out = FanOut(self.writer, {0: 0})
        self.records: list[bytes] = []
        self.readers: list[Reader] = []
        self.turns: Iterator[list[tuple[Member, bytes]]] = iter(())

    @rule(count=st.integers(1, 3), leaves=st.booleans())
    def attached(self, count: int, leaves: bool) -> None:
        for _ in range(count):
            reader = Reader(self.fan_out, len(self.records))
            reader.leaves = leaves
            self.fan_out.attach(reader)
            self.readers.append(reader)

    @precondition(lambda self: self.readers)
    @rule(number=which)
    def left(self, number: int) -> None:
        reader = self.readers[number % len(self.readers)]
        if reader.position is None:
            reader.leave()

    @rule(count=st.integers(1, 3), is_quiet=st.sampled_from([False, False, True]))
    def appended(self, count: int, is_quiet: bool) -> None:
        for _ in range(count):
            data = b"" if is_quiet else b"[%d]" % len(self.records)
            self.records.append(data)
            self.fan_out.append(data, 1, 0, len(self.records))

    @rule(limit=st.sampled_from([1, 8, 1 << 20]))
    def row_was_written(self, limit: int) -> None:
        """The next row of a round, during which anything may happen."""
        turn = next(self.turns, None)
        if turn is None:
            self.turns = self.fan_out.turns(limit)
            turn = next(self.turns, [])
        self.write(turn)

    @rule()
    def everything_was_written(self) -> None:
        self.fan_out.flush()
        for reader in self.readers:
            if reader.position is None:
                assert reader.got == b"".join(self.records[reader.end :])
                assert self.fan_out.given_to(reader) == {0: len(self.records)}
        assert self.writer.has_room
        assert not self.fan_out.has_waiting

    def write(self, turn: list[tuple[Member, bytes]]) -> None:
        for member, data in turn:
            if self.fan_out.has(member):
                member.give(data)

    def teardown(self) -> None:
        self.everything_was_written()
        for reader in self.readers:
            if reader.position is None:
                reader.leave()
            if reader.got:
                assert reader.position is not None
                assert reader.got == b"".join(self.records[reader.end : reader.position[0]])
        assert not self.fan_out.is_used
        fan_out._ROW = self.row


TestFanOut = FanOuts.TestCase
TestFanOut.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
