"""Reconnect storms: 10,000 rules arrive at once while records flow (goal 1), or 2,000 clients connect at once.

The first is one edge's session that asks for everything without waiting for answers, many in a message, as an edge does
whose replica has died; the second is what another edge has to stand then. Live delivery is watched through the whole
path by a socket that was there before; in the first, also by a consumer with nothing behind it: what that has to wait
for, the broker and the machine have held up, which share in the storm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import grpc
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.benchmarks.bare_consumer import BareConsumer
from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.production import Production
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.workloads import texts

_RULES = 10_000
_RATE = 1000
_CALM_SEC, _STORM_SEC, _WATCHED_SEC = 3, 12, 10
_GOAL_MS = 250.0
_CLIENTS = 2000
_CONNECTING_SEC = 25
"""Time for the clients to connect."""
_OPEN_TIMEOUT_SEC = 60.0


_SESSION = "/kafka_ws.filter.v1.FilterService/Session"
_SEVERAL = pb.SessionResponse(several=pb.SessionResponse.Several()).SerializeToString()[:1]
_OPENED = pb.SessionResponse(opened=pb.Opened()).SerializeToString()[:1]
"""How a response begins that says that subscriptions are open, or one is."""
_TOGETHER = 50
"""Subscriptions that are asked for in one message: for an edge, what waits while it writes."""


class _Storm:
    """The session. It goes on reading what its rules match until `close`.

    The broker and the services have to share the machine with it: requests are made beforehand, and of responses with
    records only the first byte is looked at.

    Args:
        address: the filter replica's `host:port`.
        topic: to be subscribed to.
        wheres: one rule for each subscription.
    """

    def __init__(self, address: str, topic: str, wheres: Sequence[str]) -> None:
        self._channel = grpc.insecure_channel(address)
        opens = [
            pb.SessionRequest(
                open=pb.Open(
                    subscription_id=number, subscription=pb.Subscription(topic=topic, query=pb.Query(where=where))
                )
            )
            for number, where in enumerate(wheres, 1)
        ]
        self._count = len(opens)
        self._requests = [
            pb.SessionRequest(
                several=pb.SessionRequest.Several(requests=opens[first : first + _TOGETHER])
            ).SerializeToString()
            for first in range(0, len(opens), _TOGETHER)
        ]
        self._leave = threading.Event()
        self._opened = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._began = 0.0

    def open(self) -> float:
        """Asks for all rules in one second; returns after how many seconds all were open."""
        self._began = time.monotonic()
        self._reading.start()
        if not self._opened.wait(_OPEN_TIMEOUT_SEC):
            raise TimeoutError(f"{self._count} subscriptions were not open after {_OPEN_TIMEOUT_SEC:g} s")
        return time.monotonic() - self._began

    def close(self) -> None:
        """Ends the session and its subscriptions."""
        self._leave.set()
        self._reading.join()
        self._channel.close()

    def _paced(self) -> Iterator[bytes]:
        for number, request in enumerate(self._requests, 1):
            ahead = self._began + number / len(self._requests) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            yield request
        self._leave.wait()

    def _read(self) -> None:
        opened = 0
        session: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(_SESSION)
        for response in session(self._paced()):
            opened += response.startswith(_OPENED)
            if response.startswith(_SEVERAL):
                several = pb.SessionResponse.FromString(response).several.responses
                opened += sum([each.HasField("opened") for each in several])
            if opened == self._count:
                self._opened.set()


def _storm(system: System, effort: Effort) -> list[Measurement]:
    longest: list[float] = []
    bare: list[float] = []
    opening: list[float] = []
    count = effort.amount(_RULES)
    wheres = list(texts("mix", count))
    for _ in range(effort.runs):
        with system.topic() as topic, system.stack() as stack, system.load_client(stack) as client:
            client.open(1, [target(topic)])
            storm = _Storm(stack.services["filter-1"].address, topic, wheres)
            with Production(system.kafka.bootstrap, topic) as production:
                production.prepare_pace(_RATE * (_CALM_SEC + _STORM_SEC), _RATE)
                client.expect(_RATE * (_CALM_SEC + _STORM_SEC))
                production.go()
                time.sleep(_CALM_SEC)
                consumer = BareConsumer(system.kafka.bootstrap, topic)
                client.reset()
                client.expect(_RATE * _WATCHED_SEC)
                opening.append(storm.open())
                report = client.wait_expected(_OPEN_TIMEOUT_SEC)
                bare.append(consumer.longest_ms())
                production.wait()
            storm.close()
            longest.append(report.latency.highest)
    return [
        Measurement(
            "storm.delay",
            f"{count:,} rules arrive in one second: longest latency of live records meanwhile",
            "ms",
            longest,
            Better.LOWER,
            _GOAL_MS,
        ),
        Measurement(
            "storm.kafka",
            "the same for a Kafka consumer with nothing behind it",
            "ms",
            bare,
            Better.LOWER,
        ),
        Measurement(
            "storm.opening", f"{count:,} rules arrive in one second: until all are open", "s", opening, Better.LOWER
        ),
    ]


def _connecting(system: System, effort: Effort) -> list[Measurement]:
    longest: list[float] = []
    median: list[float] = []
    opening: list[float] = []
    count = effort.amount(_CLIENTS)
    wheres = list(texts("mix", count))
    for _ in range(effort.runs):
        with (
            system.topic() as topic,
            system.stack() as stack,
            system.load_client(stack) as client,
            system.load_client(stack) as storm,
        ):
            client.open(1, [target(topic)])
            with Production(system.kafka.bootstrap, topic) as production:
                production.prepare_pace(_RATE * (_CALM_SEC + _CONNECTING_SEC), _RATE)
                production.go()
                time.sleep(_CALM_SEC)
                client.reset()
                opening.append(storm.open(count, [target(topic, where) for where in wheres], at_once=count).seconds)
                latency = client.report().latency
                production.wait()
            longest.append(latency.highest)
            median.append(latency.p50)
    title = f"{count:,} clients connect at once"
    return [
        Measurement(
            "connecting.delay", f"{title}: longest latency of live records meanwhile", "ms", longest, Better.LOWER
        ),
        Measurement("connecting.p50", f"{title}: latency of live records meanwhile, p50", "ms", median, Better.LOWER),
        Measurement("connecting.opening", f"{title}: until all are open", "s", opening, Better.LOWER),
    ]


SCENARIOS = (
    Scenario("storm", "a reconnect storm at the filter service", _storm),
    Scenario("connecting", "a reconnect storm at the edge", _connecting),
)
