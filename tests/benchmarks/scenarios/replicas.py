"""One and two filter replicas on a topic with many partitions: what the busier one has to do (goal 6)."""

from __future__ import annotations

import os

from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.production import Production
from tests.benchmarks.record_maker import TENTH
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import CpuMeter, pin

_PARTITIONS = 8
_RATE = 50_000
_SOCKETS = 5
_HALVED = 0.6
"""Of one replica's CPU time is what each of two may need: half of it, and something for being there."""


def _busiest_us(system: System, filters: int, seconds: int, effort: Effort) -> list[float]:
    """CPU time per record of the replica that needed most of it, in µs, for each run."""
    busiest = []
    names = [f"filter-{number}" for number in range(1, filters + 1)]
    with (
        system.topic(_PARTITIONS) as topic,
        system.stack(filters=filters) as stack,
        system.load_client(stack) as client,
        Production(system.kafka.bootstrap, topic, _PARTITIONS) as production,
    ):
        cores = sorted(os.sched_getaffinity(0))
        for place, name in enumerate(names):
            pin(stack.process(name).pid, cores[place % len(cores)])
        client.open(_SOCKETS, [target(topic, TENTH)])
        for number in range(effort.runs + 1):
            records = _RATE * (2 if number == 0 else seconds)
            production.prepare_pace(records, _RATE)
            client.reset()
            client.expect(records // 10 * _SOCKETS)
            meter = CpuMeter({name: stack.process(name).pid for name in names})
            production.go()
            client.wait_expected(records / _RATE + 60)
            spent = meter.seconds()
            production.wait()
            if number > 0:
                busiest.append(1e6 * max(spent.values()) / records)
    return busiest


def _replicas(system: System, effort: Effort) -> list[Measurement]:
    seconds = effort.amount(10)
    one, two = (_busiest_us(system, filters, seconds, effort) for filters in (1, 2))
    title = f"{_RATE:,} records/s on {_PARTITIONS} partitions"
    return [
        Measurement("replicas.1", f"{title}, 1 filter replica: its CPU per record", "µs", one, Better.LOWER),
        Measurement("replicas.2", f"{title}, 2 replicas: the busier one's CPU per record", "µs", two, Better.LOWER),
        Measurement(
            "replicas.share",
            f"{title}: the busier of two replicas in terms of a single one",
            "x",
            [b / a for a, b in zip(sorted(one), sorted(two), strict=True)],
            Better.LOWER,
            _HALVED,
        ),
    ]


SCENARIOS = (Scenario("replicas", "two filter replicas side by side", _replicas),)
