"""One chaos run from the first process to the verdict. Called by :mod:`tests.chaos.__main__` and by its test."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from tests.chaos.audience import Audience
from tests.chaos.harm import Harm
from tests.chaos.plan import Plan
from tests.chaos.system import EDGES, System
from tests.chaos.verdict import Verdict, judge
from tests.kafka.cluster import KafkaCluster
from tests.processes import Process
from tests.redis_server import RedisServer

_WATCH_SEC = 1.0
_CALM_SEC = 2.0
"""Before the first fault: what delays are without any."""


class ChaosRun:
    """One run.

    :param directory: an existing folder for logs.
    :param kafka: three nodes that run.
    :param redis: a server that runs.
    :param plan: how long, how hard.
    :param seed: of all chance.
    :param say: prints a line.
    """

    def __init__(
        self,
        directory: Path,
        kafka: KafkaCluster,
        redis: RedisServer,
        plan: Plan,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._seed = seed
        self._say = say
        self._begun = time.monotonic()
        self._audience = Audience(directory, kafka, plan.rate, "chaos")
        self._books = self._audience.books
        self._system = System(directory, kafka, redis)
        self._harm = Harm(self._system, self._audience, plan, random.Random(seed), self._tell)
        self._stuck: set[tuple[int, int]] = set()

    def _tell(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._begun:7.1f} s  {text}")

    async def run(self) -> Verdict:
        """Does it all; whatever happens, nothing is left running."""
        try:
            await self._audience.create_topic()
            await self._system.start()
            await self._audience.connect([self._system.stack.edge_url(edge) for edge in EDGES])
            self._tell("all clients are connected")
            begun = time.monotonic()
            self._audience.producer.start()
            watching = asyncio.create_task(self._watch())
            try:
                await self._harm.warm_up()
                await asyncio.sleep(_CALM_SEC)
                await self._harm.run()
                await asyncio.sleep(_CALM_SEC)
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
            self._tell("no more faults, no more records")
            seconds = time.monotonic() - begun
            ends = await self._audience.finish()
            self._books.problems += problems_of(self._system.processes(), self._harm.absent)
            return judge(self._books, self._audience.wishes, self._seed, seconds, ends)
        finally:
            await self._audience.stop()
            await self._system.stop()

    async def _watch(self) -> None:
        """Looks for clients that get nothing of some partition any more."""
        while True:
            await asyncio.sleep(_WATCH_SEC)
            self._audience.check()
            assert self._audience.producer.running, f"the producer has ended:\n{self._audience.producer.log()}"
            seconds = self._plan.stuck_sec
            for client, partition in self._books.stuck(seconds, time.monotonic()):
                if (client, partition) not in self._stuck:
                    self._stuck.add((client, partition))
                    name = self._audience.wishes[client].name
                    self._books.problems.append(f"{name} got nothing of partition {partition} for {seconds:g} s")
                    self._tell(self._books.problems[-1])


def problems_of(processes: Mapping[str, Process], absent: Collection[str] = ()) -> list[str]:
    """Services that have ended by themselves, and errors in their logs.

    :param absent: those that have been ended.
    """
    problems = []
    for name, process in processes.items():
        if not process.running and name not in absent:
            problems.append(f"{name} has ended with {process.exit_code}")
        for line in process.log().splitlines():
            is_error = '"level": "error"' in line or '"level": "critical"' in line or line.startswith("Traceback")
            # librdkafka calls a broker that cannot be reached an error.
            if is_error and '"logger": "librdkafka"' not in line:
                problems.append(f"{name} has logged: {line[:300]}")
    return problems
