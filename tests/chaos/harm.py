"""Doing harm, and undoing it: one coroutine for each kind of fault, and the run through the plan's rounds.

Each fault is felt from the moment it is done until every client is level with the producer again; that time is a span
in the books. What brings a victim back (a restart, a healed network) is a span of its own.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from tests.chaos.audience import TOPIC, Audience, in_thread
from tests.chaos.books import Span
from tests.chaos.plan import Fault, Plan, rounds
from tests.chaos.population import PROCESSES
from tests.chaos.records import PARTITIONS
from tests.chaos.reporting import ClientState
from tests.chaos.system import EDGES, FILTERS, System
from tests.processes import wait_until
from tests.stack.stack import TICKET

_LOOK_SEC = 0.1

_LEVEL_SEC = 0.6
"""A client that lacks no more than what was written in this time is level; its reports alone are 0.2 s old."""

_WARM_UP_SEC = 60.0
"""What a delay is without faults can be told once everybody is level for the first time."""

_IN_SYNC_SEC = 120.0

_ADDED = FILTERS[-1]
"""The replica that comes and goes; the others return after a fault."""


class Harm:
    """All faults of one run.

    :param system: to be harmed.
    :param audience: who feels it, and writes it down.
    :param plan: how hard.
    :param dice: chance.
    :param say: prints a line.
    """

    def __init__(
        self, system: System, audience: Audience, plan: Plan, dice: random.Random, say: Callable[[str], None]
    ) -> None:
        self._system = system
        self._audience = audience
        self._books = audience.books
        self._plan = plan
        self._dice = dice
        self._say = say
        self.absent = {f"filter-{_ADDED}"}
        """Names of those that do not run, and need not."""
        self._acts: dict[Fault, Callable[[], Awaitable[None]]] = {
            Fault.FILTER_KILL: self._kill_filter,
            Fault.FILTER_DRAIN: self._drain_filter,
            Fault.FILTER_ADD: self._add_filter,
            Fault.EDGE_KILL: self._kill_edge,
            Fault.EDGE_DRAIN: self._drain_edge,
            Fault.EDGE_STOP: self._stop_edge,
            Fault.BROKER_KILL: self._kill_broker,
            Fault.BROKER_STOP: self._stop_broker,
            Fault.REDIS_RESTART: self._restart_redis,
            Fault.CLIENT_STOP: self._stop_clients,
            Fault.NETWORK_CUT: self._cut,
            Fault.NETWORK_SILENCE: self._silence,
            Fault.NETWORK_HALF_OPEN: self._lose,
        }

    async def run(self) -> None:
        """Goes through the rounds until the time is over."""
        begun = time.monotonic()
        for number, steps in enumerate(rounds(self._dice, self._plan)):
            for step in steps:
                passed = time.monotonic() - begun
                if passed >= (self._plan.seconds if number else self._plan.limit_sec):
                    return
                await asyncio.sleep(self._dice.uniform(*self._plan.pause_sec))
                await asyncio.gather(*(self._later(index, fault) for index, fault in enumerate(step)))

    async def _later(self, index: int, fault: Fault) -> None:
        """The second of a pair begins while the first is felt."""
        await asyncio.sleep(index * self._dice.uniform(*self._plan.hold_sec))
        await self._acts[fault]()

    # -------------------------------------------------------------------------------------------------------- level

    @contextmanager
    def _span(self, kind: str, target: str, stopped: int | None = None) -> Iterator[Span]:
        self._say(f"{kind}: {target}")
        span = self._books.begin(kind, target, stopped)
        try:
            yield span
        finally:
            self._books.end(span)
        delay = self._books.longest_delay(span.begun, span.ended or span.begun, set(range(PROCESSES)) - {span.stopped})
        self._say(f"  level after {kind}: {target}; records came up to {delay:.2f} s late")

    def behind(self, without: Collection[int] = ()) -> list[ClientState]:
        """The clients that lack more than the newest records; clients of processes `without` are not asked."""
        most = int(_LEVEL_SEC * self._audience.rate / PARTITIONS)
        return self._books.behind(self._audience.counters.read(), most, without)

    async def warm_up(self) -> None:
        """Waits until all are level that have just begun, with programs that have just been started."""
        with self._span("warm-up", "everything"):
            # Before the first record everybody is level.
            await in_thread(wait_until, self._has_records, "the first records", _WARM_UP_SEC)
            await self.level(patience_sec=_WARM_UP_SEC)

    def _has_records(self) -> bool:
        return sum(self._audience.counters.read()) >= self._audience.rate

    async def level(self, without: Collection[int] = (), patience_sec: float | None = None) -> None:
        """Waits until nobody is behind, but not for ever."""
        patience_sec = self._plan.patience_sec if patience_sec is None else patience_sec
        # What clients have told before now says nothing about what was done just now.
        begun = time.monotonic()
        asked = set(range(PROCESSES)).difference(without)
        while time.monotonic() < begun + patience_sec:
            await asyncio.sleep(_LOOK_SEC)
            told = all(self._books.reported_at.get(process, 0.0) > begun for process in asked)
            if told and not self.behind(without):
                return
        ends = self._audience.counters.read()
        lacks = {
            state.number: sum(max(0, end - number) for end, number in zip(ends, state.next, strict=True))
            for state in self.behind(without)
        }
        if lacks:
            worst = max(lacks, key=lambda number: lacks[number])
            self._say(
                f"{len(lacks)} clients are not level after {patience_sec:g} s; "
                f"client-{worst} is {lacks[worst]:,} records behind"
            )

    async def _hold(self) -> None:
        await asyncio.sleep(self._dice.uniform(*self._plan.hold_sec))

    # -------------------------------------------------------------------------------------------------------- filters

    async def _kill_filter(self) -> None:
        number = self._dice.choice(self._system.running_filters())
        with self._span(Fault.FILTER_KILL, f"filter-{number}"):
            await in_thread(self._system.stack.kill, f"filter-{number}")
            await self._hold()
            await self._level_if_served()
        await self._return_filter(number)

    async def _drain_filter(self) -> None:
        await self._drain(self._dice.choice(self._system.running_filters()))

    async def _drain(self, number: int) -> None:
        with self._span(Fault.FILTER_DRAIN, f"filter-{number}"):
            await self._terminate(f"filter-{number}")
            await self._hold()
            await self._level_if_served()
        await self._return_filter(number)

    async def _level_if_served(self) -> None:
        # With the last replica gone, nobody gets level before one returns.
        if self._system.running_filters():
            await self.level()

    async def _return_filter(self, number: int) -> None:
        if number == _ADDED and len(self._system.running_filters()) > 1:
            self.absent.add(f"filter-{number}")
            return
        with self._span("filter start", f"filter-{number}"):
            await self._system.start_filter(number)
            await self._hold()
            await self.level()

    async def _add_filter(self) -> None:
        if _ADDED in self._system.running_filters():
            await self._drain(_ADDED)
        self.absent.clear()
        with self._span(Fault.FILTER_ADD, f"filter-{_ADDED}"):
            await self._system.start_filter(_ADDED)
            await self._hold()
            await self.level()

    async def _terminate(self, name: str) -> None:
        code = await in_thread(self._system.stack.stop_one, name)
        if code != 0:
            self._books.problems.append(f"{name} ended with {code} when it was told to stop")

    # ---------------------------------------------------------------------------------------------------------- edges

    async def _kill_edge(self) -> None:
        number = self._dice.choice(EDGES)
        with self._span(Fault.EDGE_KILL, f"edge-{number}"):
            await in_thread(self._system.stack.kill, f"edge-{number}")
            await self._hold()
            await self.level()
        await self._return_edge(number)

    async def _drain_edge(self) -> None:
        number = self._dice.choice(EDGES)
        with self._span(Fault.EDGE_DRAIN, f"edge-{number}"):
            await self._terminate(f"edge-{number}")
            await self._hold()
            await self.level()
        await self._return_edge(number)

    async def _return_edge(self, number: int) -> None:
        with self._span("edge start", f"edge-{number}"):
            await self._system.start_edge(number)
            await self._hold()
            await self.level()

    async def _stop_edge(self) -> None:
        name = f"edge-{self._dice.choice(EDGES)}"
        with self._span(Fault.EDGE_STOP, name) as span:
            self._system.stack.pause(name)
            await asyncio.sleep(self._plan.edge_stop_sec)
            self._system.stack.resume(name)
            await self._catch_up(span)

    async def _catch_up(self, span: Span) -> None:
        begun = time.monotonic()
        await self.level()
        span.caught_up_sec = time.monotonic() - begun

    # ------------------------------------------------------------------------------------------------ Kafka and Redis

    async def _kill_broker(self) -> None:
        system, node = self._system, self._broker()
        with self._span(Fault.BROKER_KILL, f"kafka-{node}"):
            await in_thread(system.kafka.kill, node)
            await self._hold()
            await self.level()
        with self._span("broker start", f"kafka-{node}"):
            await in_thread(system.kafka.restart, node)
            await self._level_in_sync()

    async def _stop_broker(self) -> None:
        node = self._broker()
        process = self._system.kafka.node(node).process
        with self._span(Fault.BROKER_STOP, f"kafka-{node}"):
            process.signal(signal.SIGSTOP)
            await asyncio.sleep(self._plan.broker_stop_sec)
            process.signal(signal.SIGCONT)
            await self._level_in_sync()

    def _broker(self) -> int:
        return self._dice.randint(1, len(self._system.kafka.brokers))

    async def _level_in_sync(self) -> None:
        # Another one must not go before this one has everything.
        await in_thread(self._system.kafka.wait_in_sync, TOPIC, _IN_SYNC_SEC)
        await self.level()

    async def _restart_redis(self) -> None:
        with self._span(Fault.REDIS_RESTART, "redis"):
            await in_thread(self._system.redis.stop)
            await self._hold()
            await in_thread(self._system.redis.start)
            await in_thread(self._system.stack.wait_until_ready, TICKET)
            await self.level()

    # -------------------------------------------------------------------------------------------------------- clients

    async def _stop_clients(self) -> None:
        number = self._dice.randrange(PROCESSES)
        process = self._audience.clients[number]
        with self._span(Fault.CLIENT_STOP, process.name, stopped=number) as span:
            process.signal(signal.SIGSTOP)
            await asyncio.sleep(self._plan.client_stop_sec)
            process.signal(signal.SIGCONT)
            await self._catch_up(span)

    # -------------------------------------------------------------------------------------------------------- network

    def _link(self) -> tuple[int, int]:
        """An edge and a running replica."""
        running = self._system.running_filters() or FILTERS
        return self._dice.choice(EDGES), self._dice.choice(running)

    async def _cut(self) -> None:
        edge, replica = self._link()
        proxy = self._system.proxies[edge, replica]
        with self._span(Fault.NETWORK_CUT, f"edge-{edge} to filter-{replica}"):
            await proxy.cut()
            await self._hold()
            await self._level_if_served()
        with self._span("network heal", f"edge-{edge} to filter-{replica}"):
            await proxy.heal()
            await self._hold()
            await self.level()

    async def _silence(self) -> None:
        edge, replica = self._link()
        proxy = self._system.proxies[edge, replica]
        with self._span(Fault.NETWORK_SILENCE, f"edge-{edge} to filter-{replica}") as span:
            proxy.silence()
            await self._hold()
            await proxy.heal()
            await self._catch_up(span)

    async def _lose(self) -> None:
        edge, replica = self._link()
        proxy = self._system.proxies[edge, replica]
        with self._span(Fault.NETWORK_HALF_OPEN, f"edge-{edge} to filter-{replica}"):
            if not proxy.lose():
                self._say("there was no connection to lose")
            if self._plan.half_open_sec is not None:
                await asyncio.sleep(self._plan.half_open_sec)
                await proxy.heal()
            await self.level()
