"""Memory over minutes of load while sockets come and go (goal 7)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.production import Production
from tests.benchmarks.record_maker import single
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import resident_bytes

_RATE = 20_000
_STANDING = 100
_CHANGES_PER_SEC = 100
_STEP_SEC = 0.1
_FULL_SEC, _QUICK_SEC = 600, 40
_FLAT = 5.0
"""Percent by which memory may grow from the second quarter of the run to the last: allocators' noise."""


class _Churn:
    """Replaces sockets at a steady rate; the oldest go first."""

    def __init__(self, client: LoadClient, targets: list[str]) -> None:
        self._client = client
        self._targets = targets
        client.open(_CHANGES_PER_SEC, targets, tag=1)

    def step(self) -> None:
        count = round(_CHANGES_PER_SEC * _STEP_SEC)
        # Rotated: otherwise a short list would always begin with the same filters.
        self._targets = self._targets[count:] + self._targets[:count]
        self._client.begin_open(count, self._targets, tag=1)
        self._client.wait_open()
        self._client.close_oldest(count, tag=1)


def _soak(system: System, effort: Effort) -> list[Measurement]:
    seconds = _QUICK_SEC if effort.is_quick else _FULL_SEC
    memory: dict[str, list[tuple[float, float]]] = {}
    with system.topic() as topic, system.stack() as stack, system.load_client(stack) as client:
        pids = {name: service.process.pid for name, service in stack.services.items()}
        churn = _Churn(client, [target(topic, single(step)) for step in range(10)] + [target(topic)])
        client.open(_STANDING, [target(topic)])
        with Production(system.kafka.bootstrap, topic) as production:
            production.prepare_pace(_RATE * seconds, _RATE)
            production.go()
            began = time.monotonic()
            step = 0
            while time.monotonic() - began < seconds:
                now = time.monotonic() - began
                for name, pid in pids.items():
                    memory.setdefault(name, []).append((round(now, 1), resident_bytes(pid) / 1e6))
                churn.step()
                step += 1
                time.sleep(max(0.0, began + step * _STEP_SEC - time.monotonic()))
            produced = production.wait()["seconds"]
        report = client.report()
    details = {
        "memory_mb": {name: samples[:: max(1, len(samples) // 300)] for name, samples in memory.items()},
        "replaced_per_sec": step * _CHANGES_PER_SEC * _STEP_SEC / seconds,
        "produced_per_sec": _RATE * seconds / produced,
        "closed_by_server": report.closed_by_server,
        "open": report.open,
    }
    return [_growth(name, samples, details) for name, samples in memory.items()]


def _growth(name: str, samples: list[tuple[float, float]], details: Mapping[str, object]) -> Measurement:
    quarter = samples[-1][0] / 4
    before = statistics.mean(megabytes for at, megabytes in samples if quarter <= at < 2 * quarter)
    after = statistics.mean(megabytes for at, megabytes in samples if at >= 3 * quarter)
    return Measurement(
        f"soak.{name}",
        f"memory of {name} under load and churn: growth from the second to the last quarter of the run",
        "%",
        [100 * (after / before - 1)],
        Better.LOWER,
        _FLAT,
        {**details, "megabytes": [before, after]},
    )


SCENARIOS = (Scenario("soak", "memory over minutes", _soak),)
