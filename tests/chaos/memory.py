"""The run that looks at memory: five hundred sockets, of which a hundred stop taking anything for a long time.

What they do not take must not be kept for them anywhere but in Kafka: the resident memory of edge and filter stays
under a bound. When they go on they get everything, once and in order. Called by :mod:`tests.chaos.__main__` and by
its test.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.audience import Audience, in_thread
from tests.chaos.population import STOPPED
from tests.chaos.run import problems_of
from tests.kafka.cluster import KafkaCluster
from tests.redis_server import RedisServer
from tests.stack.stack import Stack

RATE = 10_000
HIGH_MARK = 256 * 1024

SETTINGS = {
    "KAFKA_WS_SERVER_SEND_BUFFER": str(64 * 1024),
    "KAFKA_WS_SERVER_SLOW_CONSUMER_HIGH_MARK": str(HIGH_MARK),
    "KAFKA_WS_SERVER_SLOW_CONSUMER_LOW_MARK": str(32 * 1024),
    # Whoever is stopped is not to be given up: that is another promise.
    "KAFKA_WS_SERVER_SLOW_CONSUMER_TIMEOUT_SEC": "3600",
    "KAFKA_WS_SERVER_PING_TIMEOUT_SEC": "3600",
}

BOUNDS_MIB = {"edge-1": 250, "filter-1": 450}
"""Resident memory that no process may pass, in MiB.

Edge: 70 for the program, 100 sockets with at most the high mark each (25), the backlog limit (16), the largest gRPC
messages (64), and what the allocator keeps. Filter: 70 for the program, the outbox (32), the replay ring of six
partitions (24, as Python objects some four times as much), librdkafka's queues (64 for the live reader, 16 for each of
two catch-up readers and six partitions at most), the largest gRPC messages, and what the allocator keeps."""

_SETTLE_SEC = 5.0
_SAMPLE_SEC = 0.25
_CATCH_UP_SEC = 300.0


@dataclass
class MemoryVerdict:
    """The report of a run.

    :param seconds: for which the hundred were stopped.
    :param peaks_mib: process -> highest resident memory, in MiB, before, while and after they were stopped.
    :param bounds_mib: what it has to stay under.
    :param caught_up_sec: from the moment at which they went on until they had everything.
    :param problems: sentences; none in a good run.
    """

    seconds: float
    sockets: int
    written: int
    checked: int
    lost: int
    duplicated: int
    unwanted: int
    caught_up_sec: float
    peaks_mib: dict[str, dict[str, float]]
    bounds_mib: dict[str, int] = field(default_factory=lambda: dict(BOUNDS_MIB))
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the run has passed."""
        return not (self.lost or self.duplicated or self.unwanted or self.problems)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"passed": self.is_good, **asdict(self)}

    def __str__(self) -> str:
        lines = [
            f"{self.sockets} sockets, 100 of them stopped for {self.seconds:.0f} s, {self.written:,} records written",
            f"checked {self.checked:,}, lost {self.lost}, duplicated {self.duplicated}, unwanted {self.unwanted}",
            f"those who were stopped had everything after {self.caught_up_sec:.1f} s",
            "",
            f"{'resident memory, MiB':24}{'before':>9}{'stopped':>9}{'after':>9}{'bound':>9}",
        ]
        for name, peaks in self.peaks_mib.items():
            shown = "".join(f"{peaks[phase]:9.0f}" for phase in ("before", "stopped", "after"))
            lines.append(f"{name:24}{shown}{self.bounds_mib[name]:9}")
        return "\n".join([*lines, "", *self.problems[:20], "passed" if self.is_good else "FAILED"])


def resident_mib(pid: int) -> float:
    """Resident memory of a process now (Linux, proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class MemoryRun:
    """One run.

    :param directory: an existing folder for logs.
    :param kafka: a node that runs.
    :param redis: a server that runs.
    :param seconds: for which sockets are stopped.
    :param say: prints a line.
    """

    def __init__(
        self, directory: Path, kafka: KafkaCluster, redis: RedisServer, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._seconds = seconds
        self._say = say
        self._audience = Audience(directory, kafka, RATE, "memory")
        self._stack = Stack(directory, kafka.bootstrap, redis.address, settings=SETTINGS)
        self._phase = "before"
        self._peaks: dict[str, dict[str, float]] = {name: {} for name in BOUNDS_MIB}

    async def run(self) -> MemoryVerdict:
        """Does it all; whatever happens, nothing is left running."""
        audience = self._audience
        try:
            await audience.create_topic()
            await in_thread(self._stack.start)
            await audience.connect([self._stack.edge_url()])
            self._say(f"{len(audience.wishes)} sockets are connected")
            audience.producer.start()
            sampling = asyncio.create_task(self._sample())
            try:
                await asyncio.sleep(_SETTLE_SEC)
                await self._stop_some()
                self._say("they go on")
                begun = time.monotonic()
                await self._until_level()
                caught_up = time.monotonic() - begun
                ends = await audience.finish()
            finally:
                sampling.cancel()
                with suppress(asyncio.CancelledError):
                    await sampling
            return self._judge(ends, caught_up)
        finally:
            await audience.stop()
            await in_thread(self._stack.stop)

    async def _stop_some(self) -> None:
        self._say("a hundred stop")
        self._phase = "stopped"
        self._audience.clients[STOPPED].signal(signal.SIGSTOP)
        await asyncio.sleep(self._seconds)
        self._audience.clients[STOPPED].signal(signal.SIGCONT)
        self._phase = "after"

    async def _until_level(self) -> None:
        deadline = time.monotonic() + _CATCH_UP_SEC
        ends = self._audience.counters.read()
        while self._audience.missing(ends) and time.monotonic() < deadline:
            self._audience.check()
            await asyncio.sleep(_SAMPLE_SEC)

    async def _sample(self) -> None:
        while True:
            for name, peaks in self._peaks.items():
                now = resident_mib(self._stack.process(name).pid)
                peaks[self._phase] = max(now, peaks.get(self._phase, 0.0))
            await asyncio.sleep(_SAMPLE_SEC)

    def _judge(self, ends: list[int], caught_up_sec: float) -> MemoryVerdict:
        books = self._audience.books
        states = books.states.values()
        verdict = MemoryVerdict(
            self._seconds,
            len(states),
            sum(ends),
            sum(state.checked for state in states),
            sum(state.lost for state in states),
            sum(state.duplicated for state in states),
            sum(state.unwanted for state in states),
            caught_up_sec,
            self._peaks,
        )
        names: Mapping[int, str] = {wish.number: wish.name for wish in self._audience.wishes}
        for note in books.notes:
            # Nobody does any harm here: a stream that ends, or is refused, is a fault.
            if note.what != "opened":
                verdict.problems.append(
                    f"{names.get(note.client, 'the reference')}: {note.what} {note.code} {note.text}"
                )
        verdict.problems += books.problems
        verdict.problems += problems_of({name: self._stack.process(name) for name in self._stack.services})
        for name, peaks in self._peaks.items():
            if max(peaks.values()) > BOUNDS_MIB[name]:
                verdict.problems.append(f"{name} had {max(peaks.values()):.0f} MiB, more than {BOUNDS_MIB[name]}")
        return verdict
