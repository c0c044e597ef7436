"""What is known about a run while it goes on: where every client is, how late its records were, what has happened.

Fed by the client processes through a socket, on the event loop of :mod:`tests.chaos.run`; asked by
:mod:`tests.chaos.harm` (is all calm?) and :mod:`tests.chaos.verdict`.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.chaos.population import PROCESSES
from tests.chaos.records import PERIOD
from tests.chaos.reporting import BUCKET_SEC, ClientState, Note, Report

_REPORT_LIMIT = 1024 * 1024
"""Bytes of one report."""


@dataclass
class Span:
    """Some time in which a fault was felt.

    :param kind: what was done, e.g. `filter kill`.
    :param target: to whom.
    :param begun: seconds of the monotonic clock.
    :param ended: when everybody was level again; None while it goes on.
    :param stopped: client process that is stopped itself, and is not to be asked how late its records were.
    :param overlaps: whether another fault was felt at the same time.
    :param caught_up_sec: how long those who had been stopped took to be level; None for other faults.
    """

    kind: str
    target: str
    begun: float
    ended: float | None = None
    stopped: int | None = None
    overlaps: bool = False
    caught_up_sec: float | None = None


@dataclass
class Books:
    """Everything that is told."""

    states: dict[int, ClientState] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is wrong apart from single records."""
    process_of: dict[int, int] = field(default_factory=dict)
    reported_at: dict[int, float] = field(default_factory=dict)
    moved_at: dict[int, list[float]] = field(default_factory=dict)
    """By client: when each partition's last record came, seconds of the monotonic clock."""
    _delays: dict[int, dict[int, float]] = field(default_factory=dict)
    _server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Takes reports from now on; returns the port."""
        self._server = await asyncio.start_server(self._read, "127.0.0.1", 0, limit=_REPORT_LIMIT)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Takes no more."""
        if self._server is not None:
            self._server.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                self.take(Report.decode(line))
        finally:
            writer.close()

    def take(self, report: Report) -> None:
        """Enters one report."""
        now = time.monotonic()
        self.reported_at[report.process] = now
        for state in report.clients:
            self.process_of[state.number] = report.process
            before = self.states.get(state.number)
            if before is None:
                self.moved_at[state.number] = [now] * len(state.next)
            else:
                moved_at = self.moved_at[state.number]
                for partition, number in enumerate(state.next):
                    if number != before.next[partition]:
                        moved_at[partition] = now
            self.states[state.number] = state
        worst = self._delays.setdefault(report.process, {})
        for bucket, delay in report.delays:
            worst[bucket] = max(delay, worst.get(bucket, 0.0))
        self.notes += report.notes

    # ------------------------------------------------------------------------------------------------------- spans

    def begin(self, kind: str, target: str, stopped: int | None = None) -> Span:
        """Something is being done."""
        span = Span(kind, target, time.monotonic(), stopped=stopped)
        for other in self.spans:
            if other.ended is None:
                span.overlaps = other.overlaps = True
        self.spans.append(span)
        return span

    @staticmethod
    def end(span: Span) -> None:
        """It is over."""
        span.ended = time.monotonic()

    # --------------------------------------------------------------------------------------------------- questions

    def stuck(self, seconds: float, now: float) -> list[tuple[int, int]]:
        """Client and partition wherever no record has come for so long, while the client was not stopped itself.

        :param now: of the monotonic clock.
        """
        stopped = {span.stopped for span in self.spans if span.ended is None}
        found = []
        for number, moved_at in self.moved_at.items():
            if self.process_of[number] in stopped:
                self.moved_at[number] = [now] * len(moved_at)
            else:
                found += [(number, partition) for partition, at in enumerate(moved_at) if now - at > seconds]
        return found

    def longest_delay(self, begin: float, end: float, processes: Collection[int]) -> float:
        """How late the latest record was that came to some processes between two times, seconds; 0 when none came."""
        first, last = int(begin / BUCKET_SEC), int(end / BUCKET_SEC)
        return max(
            (
                delay
                for process, worst in self._delays.items()
                if process in processes
                for bucket, delay in worst.items()
                if first <= bucket <= last
            ),
            default=0.0,
        )

    def delays_outside(self, spans: Sequence[Span]) -> list[float]:
        """The worst of each bucket that no span touches."""
        touched: set[int] = set()
        for span in spans:
            end = span.begun if span.ended is None else span.ended
            touched.update(range(int(span.begun / BUCKET_SEC), int(end / BUCKET_SEC) + 1))
        calm: dict[int, float] = {}
        for process in range(PROCESSES):
            for bucket, delay in self._delays.get(process, {}).items():
                if bucket not in touched:
                    calm[bucket] = max(delay, calm.get(bucket, 0.0))
        return list(calm.values())

    def behind(self, ends: Sequence[int], most: int, without: Collection[int] = ()) -> list[ClientState]:
        """The clients that have no stream, or lack more than so many of the newest numbers of some partition.

        :param without: processes that are not asked.
        """
        return [
            state
            for number, state in self.states.items()
            if self.process_of[number] not in without
            and (
                state.edge is None
                or any(end - number > most + PERIOD for number, end in zip(state.next, ends, strict=True))
            )
        ]
