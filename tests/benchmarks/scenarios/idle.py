"""Ten thousand sockets that wait: what each costs in memory, and how fast they come in (goal 5)."""

from __future__ import annotations

import time

from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import resident_bytes

_WARM_UP_SOCKETS = 500
"""Opened and closed before: what the edge takes once, for its first connections, is not a socket's."""

_SETTLE_SEC = 2.0


def _idle(system: System, effort: Effort) -> list[Measurement]:
    sockets = effort.amount(10_000)
    kilobytes, rates, waits = [], [], []
    for _ in range(effort.runs):
        # Memory that was taken is not given back: each run needs a new process.
        with system.topic() as topic, system.stack() as stack, system.load_client(stack) as client:
            edge = stack.process("edge-1").pid
            client.open(_WARM_UP_SOCKETS, [target(topic)], tag=1)
            client.close_oldest(_WARM_UP_SOCKETS, tag=1)
            time.sleep(_SETTLE_SEC)
            before = resident_bytes(edge)
            opening = client.open(sockets, [target(topic)])
            time.sleep(_SETTLE_SEC)
            kilobytes.append((resident_bytes(edge) - before) / sockets / 1024)
            rates.append(opening.opened / opening.seconds)
            waits.append(1000 * opening.p99)
    return [
        Measurement(
            "idle.memory",
            f"{sockets:,} idle sockets: memory of the edge for each",
            "KB",
            kilobytes,
            Better.LOWER,
            20.0,
            {"sockets": sockets},
        ),
        Measurement(
            "idle.connects",
            f"{sockets:,} sockets connect, each with a new ticket",
            "connects/s",
            rates,
            goal=1000,
            details={"p99_ms": waits},
        ),
    ]


SCENARIOS = (Scenario("idle", "idle sockets and connecting", _idle),)
